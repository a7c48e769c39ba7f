from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.core.errors import DatasetError
from components.core.files import read_json, write_json
from components.core.spec import Embodiment
from components.dataset import layout
from components.dataset.frames import ROW_COLUMNS, STREAM_COLUMNS, EpisodeFrames
from components.dataset.reader import Dataset
from components.dataset.stats import merge_stats, numeric_stats

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
    expected = merge_stats([numeric_stats(episodes[index].action) for index in (1, 3)])
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


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    value = read_json(path)
    change(value)
    write_json(path, value)


def drop_row(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)


def change_hash(path: Path) -> None:
    table = pq.read_table(path)
    column = table.column_names.index("pixel_sha256")
    pq.write_table(table.set_column(column, "pixel_sha256", [["0" * 64] * len(table)]), path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codebase_version": "v2.1"}, "version 'v2.1', expected 'v3.0'"),
        ({"fps": None}, "info.json: lacks fps"),
        ({"total_episodes": 6}, "rows of meta/episodes: 5, expected 6"),
        ({"total_frames": 1}, "frames in meta/episodes: 115, expected 1"),
        ({"fps": 30}, "fps: 30, expected 20"),
        ({"robot_type": "aloha"}, "robot_type: 'aloha', expected 'sawyer-cell'"),
        ({"data_path": "x"}, "data_path: 'x', expected 'data/chunk"),
    ],
)
def test_an_info_that_disagrees_is_refused(own_tree: Path, change: dict[str, Any], message: str) -> None:
    info = read_json(own_tree / layout.INFO) | change
    write_json(own_tree / layout.INFO, {key: value for key, value in info.items() if value is not None})
    with pytest.raises(DatasetError, match=message):
        Dataset.open(own_tree)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda r: (r / layout.INFO).unlink(),
            r"not a dataset, there is no meta/info.json. Run the ingest stage first",
        ),
        (lambda r: (r / layout.INFO).write_text("{"), r"info.json: not JSON: .* Restore the tree or run ingest again"),
        (lambda r: (r / layout.INFO).write_text("[]"), "info.json: holds a list, expected an object"),
        (lambda r: (r / layout.OWN_RECORD).unlink(), r"the tree is not complete: .*no record.json"),
        (lambda r: (r / layout.OWN_EMBODIMENT).write_text("{}"), "not an embodiment"),
        (lambda r: (r / layout.OWN_EPISODES).unlink(), "there is no meta/gripline/episodes.parquet"),
        (lambda r: (r / layout.OWN_EPISODES).write_text("PAR1"), "episodes.parquet: unreadable"),
        (lambda r: drop_row(r / layout.OWN_EPISODES), "rows of meta/gripline/episodes.parquet: 4, expected 5"),
        (lambda r: change_hash(r / layout.OWN_EPISODES), "digest of the episodes"),
        (lambda r: drop_row(r / "meta/episodes/chunk-000/file-000.parquet"), "rows of meta/episodes: 4, expected 5"),
        (lambda r: (r / DATA).unlink(), f"missing: {DATA}"),
        (lambda r: (r / WRIST).unlink(), f"missing: {WRIST}"),
        (lambda r: (r / layout.STATS).unlink(), "missing: meta/stats.json"),
        (lambda r: (r / STREAMS).unlink(), f"missing: {STREAMS}"),
        (lambda r: edit(r / layout.OWN_FILES, dict.clear), "files.json names no file of meta/episodes"),
    ],
)
def test_damage_is_named_on_opening(own_tree: Path, damage: Callable[[Path], Any], message: str) -> None:
    damage(own_tree)
    with pytest.raises(DatasetError, match=message):
        Dataset.open(own_tree)


def test_a_missing_column_is_named(own_tree: Path) -> None:
    path = own_tree / layout.OWN_EPISODES
    pq.write_table(pq.read_table(path).drop_columns(["licence"]), path)
    with pytest.raises(DatasetError, match="licence"):
        Dataset.open(own_tree)


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


def flip_last_byte(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda r: flip_last_byte(r / WRIST), f"{WRIST} changed"),
        (lambda r: (r / "data/extra.parquet").write_text("x"), "data/extra.parquet is not listed"),
        (lambda r: (r / STREAMS).unlink(), f"{STREAMS} is missing"),
        (lambda r: edit(r / layout.OWN_FILES, lambda f: f.pop(WRIST)), "differs from what the record was sealed over"),
    ],
)
def test_verify_names_what_differs(own_tree: Path, damage: Callable[[Path], Any], message: str) -> None:
    dataset = Dataset.open(own_tree)
    dataset.verify()
    damage(own_tree)
    with pytest.raises(DatasetError, match=message):
        dataset.verify()


def test_verify_names_a_few_and_counts_the_others(own_tree: Path) -> None:
    dataset = Dataset.open(own_tree)
    for number in range(8):
        (own_tree / f"extra-{number}").write_text("x")
    with pytest.raises(DatasetError, match=r"extra-4 is not listed and 3 more"):
        dataset.verify()
