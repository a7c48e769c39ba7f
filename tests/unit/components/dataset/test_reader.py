from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.core.errors import DatasetError
from components.core.spec import Embodiment
from components.dataset.frames import ROW_COLUMNS, STREAM_COLUMNS, EpisodeFrames
from components.dataset.parquet_rows import ParquetRows
from components.dataset.reader import Dataset
from components.dataset.stats import measure, merge_stats

DATA = "data/chunk-000/file-000.parquet"
STREAMS = "meta/gripline/streams/chunk-000/file-000.parquet"
WRIST = "videos/observation.images.wrist/chunk-000/file-000.mp4"


def psnr_db(left: Any, right: Any) -> float:
    return float(10 * np.log10(255**2 / np.mean((left.astype(np.float64) - right) ** 2)))


def test_numbers_come_back_exactly_and_pixels_closely(tree: Path, episodes: list[EpisodeFrames]) -> None:
    dataset = Dataset.open(tree)
    for index, episode in enumerate(episodes):
        frames = dataset.frames(index)
        for name, values in (
            ("observation.state", episode.state),
            ("action", episode.action),
            ("observation.joints", episode.extras["observation.joints"]),
            ("observation.time", episode.time_s),
        ):
            np.testing.assert_array_equal(frames[name], values)
            assert frames[name].dtype == values.dtype
        np.testing.assert_array_equal(frames["frame_index"], np.arange(len(episode)))
        for camera, images in episode.images.items():
            assert psnr_db(images, dataset.images(index, camera)) > 38


def test_a_feature_of_width_one_keeps_its_axis(
    tmp_path: Path, make_episode: Callable[..., EpisodeFrames], write_tree: Callable[..., str]
) -> None:
    episode = make_episode(1, extras={"observation.force": np.arange(23.0)[:, None]})
    write_tree(tmp_path, [episode])
    np.testing.assert_array_equal(
        Dataset.open(tmp_path).frames(0)["observation.force"], episode.extras["observation.force"]
    )


def test_the_metadata_is_at_hand(tree: Path, cell: Embodiment, episodes: list[EpisodeFrames]) -> None:
    dataset = Dataset.open(tree)
    assert (dataset.fps, len(dataset), dataset.embodiment) == (20, 5, cell)
    assert set(ROW_COLUMNS) < set(dataset.episodes.columns)
    assert dataset.episodes["source_uri"].tolist() == [episode.row["source_uri"] for episode in episodes]
    assert dataset.episodes["split"].tolist() == ["train"] * 4 + ["val"]
    assert list(dataset.streams.columns) == ["episode_id", *STREAM_COLUMNS]
    assert dataset.streams["worst_misalignment_ms"].isna().all()


def test_statistics_of_some_episodes_need_no_frames(own_tree: Path, episodes: list[EpisodeFrames]) -> None:
    dataset = Dataset.open(own_tree)
    (own_tree / DATA).unlink()
    stats = dataset.stats_of([1, 3])["action"]
    expected = merge_stats([measure(episodes[index].action) for index in (1, 3)])
    for name, value in expected.items():
        np.testing.assert_array_equal(stats[name], value)
    with pytest.raises(DatasetError, match="statistics of no episode"):
        dataset.stats_of([])


def test_statistics_of_all_are_those_in_the_file(tree: Path) -> None:
    dataset = Dataset.open(tree)
    merged = dataset.stats_of(list(range(5)))
    for key, values in dataset.stats.items():
        for name, value in values.items():
            np.testing.assert_array_equal(merged[key][name], value)


def drop_row(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)


def test_data_and_video_that_do_not_match_the_metadata_are_found_when_read(own_tree: Path) -> None:
    drop_row(own_tree / DATA)
    (own_tree / WRIST).write_bytes((own_tree / WRIST).read_bytes()[:5000])
    dataset = Dataset.open(own_tree)
    with pytest.raises(DatasetError, match=r"episode 4 has 30 rows, the metadata promises 31"):
        dataset.frames(4)
    with pytest.raises(DatasetError, match="video cannot be decoded"):
        dataset.images(4, "wrist")


def test_unreadable_data_is_named(own_tree: Path) -> None:
    (own_tree / DATA).write_bytes(b"PAR1")
    with pytest.raises(DatasetError, match=r"file-000.parquet: unreadable: .* Restore it or run ingest again"):
        Dataset.open(own_tree).frames(0)


@pytest.mark.parametrize("index", [-1, 5])
def test_there_are_only_so_many_episodes(tree: Path, index: int) -> None:
    with pytest.raises(DatasetError, match=f"no episode {index}; there are 5"):
        Dataset.open(tree).frames(index)


def test_an_unknown_camera_is_named(tree: Path) -> None:
    with pytest.raises(DatasetError, match="no camera 'left'; there are fixed, wrist"):
        Dataset.open(tree).images(0, "left")


def test_only_the_columns_asked_for_are_read(
    tree: Path, episodes: list[EpisodeFrames], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, asked = Dataset.open(tree), []
    read = dataset._parquet.read

    def watched(*arguments: Any) -> Any:
        asked.append(arguments[3])
        return read(*arguments)

    monkeypatch.setattr(dataset._parquet, "read", watched)
    found = dataset.frames(2, ["action", "observation.time"])
    assert list(found) == ["action", "observation.time"]
    np.testing.assert_array_equal(found["action"], episodes[2].action)
    # The number says whether the rows are those of the episode.
    assert asked == [["action", "observation.time", "episode_index"]]
    with pytest.raises(DatasetError, match=r"file-000.parquet: lacks the columns observation.smell"):
        dataset.frames(2, ["observation.smell"])


def test_threads_read_what_one_thread_reads(
    tmp_path: Path, episodes: list[EpisodeFrames], write_tree: Callable[..., str]
) -> None:
    write_tree(tmp_path, episodes, data_file_mb=1e-6, video_file_mb=1e-6)
    alone = Dataset.open(tmp_path)
    images = {(n, camera): alone.images(n, camera) for n in range(5) for camera in alone.cameras}
    shared = Dataset.open(tmp_path)
    shared._parquet = ParquetRows(limit=2)

    def read(seed: int) -> None:
        number, camera = seed % 5, shared.cameras[seed % 2]
        np.testing.assert_array_equal(shared.frames(number, ["action"])["action"], episodes[number].action)
        np.testing.assert_array_equal(shared.images(number, camera), images[number, camera])
        assert shared.video_place(number, camera) == alone.video_place(number, camera)
        assert shared.streams_of(number) == episodes[number].streams
        assert shared.episode_id(number) == episodes[number].episode_id
        assert shared.row(number)["task"] == episodes[number].task

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, np.random.default_rng(1).permutation(60).tolist())) == [None] * 60


def test_streams_of_other_episodes_are_not_taken_for_its_own(own_tree: Path) -> None:
    path = own_tree / "meta/gripline/streams/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    pq.write_table(table.take([1, 0, 2, 3, 4]), path)
    with pytest.raises(DatasetError, match=r"file-000.parquet: does not hold the streams of episode 1. Restore"):
        Dataset.open(own_tree).streams_of(1)


def test_an_episode_without_streams_has_none(
    tmp_path: Path, make_episode: Callable[..., EpisodeFrames], write_tree: Callable[..., str]
) -> None:
    write_tree(tmp_path, [make_episode(1, streams=[]), make_episode(2), make_episode(3, streams=[])])
    dataset = Dataset.open(tmp_path)
    assert [len(dataset.streams_of(number)) for number in range(3)] == [0, 1, 0]
    dataset.verify()
