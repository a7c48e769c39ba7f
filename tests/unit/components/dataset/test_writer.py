from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.core.errors import DatasetError
from components.core.files import read_json, tree_manifest
from components.core.params import Video
from components.core.records import read_record
from components.core.spec import Embodiment
from components.dataset import layout
from components.dataset.columns import stats_as_json
from components.dataset.frames import EpisodeFrames
from components.dataset.prepare import prepare
from components.dataset.prepared import PreparedEpisode
from components.dataset.reader import Dataset
from components.dataset.stats import STAT_NAMES
from components.dataset.writer import DatasetWriter

SplitsOf = Callable[[Sequence[EpisodeFrames]], dict[str, str]]
Make = Callable[..., EpisodeFrames]
Write = Callable[..., str]


def test_the_tree_is_laid_out_as_lerobot_does(tree: Path) -> None:
    assert sorted(tree_manifest(tree)) == [
        "data/chunk-000/file-000.parquet",
        "meta/episodes/chunk-000/file-000.parquet",
        "meta/gripline/embodiment.json",
        "meta/gripline/episodes.parquet",
        "meta/gripline/files.json",
        "meta/gripline/record.json",
        "meta/gripline/sketches/chunk-000/file-000.parquet",
        "meta/gripline/streams/chunk-000/file-000.parquet",
        "meta/gripline/totals.json",
        "meta/info.json",
        "meta/stats.json",
        "meta/tasks.parquet",
        "videos/observation.images.fixed/chunk-000/file-000.mp4",
        "videos/observation.images.wrist/chunk-000/file-000.mp4",
    ]


def test_info_says_what_is_there(tree: Path, episodes: list[EpisodeFrames]) -> None:
    info = read_json(tree / layout.INFO)
    frames = sum(len(episode) for episode in episodes)
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (5, frames, 2)
    assert info["fps"] == 20
    assert info["splits"] == {"train": "0:5"}
    assert {key: (f["dtype"], f["shape"]) for key, f in info["features"].items()} == {
        "observation.images.fixed": ("video", [32, 32, 3]),
        "observation.images.wrist": ("video", [32, 32, 3]),
        "observation.state": ("float32", [4]),
        "observation.joints": ("float32", [7]),
        "observation.time": ("float64", [1]),
        "action": ("float32", [4]),
        "timestamp": ("float32", [1]),
        "frame_index": ("int64", [1]),
        "episode_index": ("int64", [1]),
        "index": ("int64", [1]),
        "task_index": ("int64", [1]),
    }


def test_rows_hold_vectors_of_fixed_size_and_plain_scalars(tree: Path) -> None:
    schema = pq.read_schema(tree / "data/chunk-000/file-000.parquet")
    assert schema.field("action").type == pa.list_(pa.float32(), 4)
    assert schema.field("observation.time").type == pa.float64()
    table = pq.read_table(tree / "data/chunk-000/file-000.parquet")
    np.testing.assert_array_equal(table["index"], np.arange(table.num_rows))
    # LeRobot checks these against fps; the sensor's own time is in observation.time.
    frame_index = np.asarray(table["frame_index"])
    np.testing.assert_array_equal(table["timestamp"], (frame_index / 20).astype(np.float32))


def test_tasks_are_found_by_their_words(tree: Path) -> None:
    tasks = pd.read_parquet(tree / layout.TASKS)
    assert tasks.index.tolist() == ["pull the drawer open", "press the button"]
    assert tasks["task_index"].tolist() == [0, 1]


def test_rows_of_episodes_place_every_episode(tree: Path, episodes: list[EpisodeFrames]) -> None:
    rows = pq.read_table(tree / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    start = 0
    for index, (row, episode) in enumerate(zip(rows, episodes, strict=True)):
        assert (row["episode_index"], row["length"], row["tasks"]) == (index, len(episode), [episode.instruction])
        assert (row["dataset_from_index"], row["dataset_to_index"]) == (start, start + len(episode))
        assert row["videos/observation.images.wrist/from_timestamp"] == start / 20
        start += len(episode)
        assert row["videos/observation.images.wrist/to_timestamp"] == start / 20


def test_statistics_are_those_of_the_frames(tree: Path, episodes: list[EpisodeFrames]) -> None:
    stats = read_json(tree / layout.STATS)
    assert all(set(values) == set(STAT_NAMES) for values in stats.values())
    action = np.concatenate([episode.action for episode in episodes]).astype(np.float64)
    np.testing.assert_allclose(stats["action"]["mean"], action.mean(axis=0))
    np.testing.assert_allclose(stats["action"]["std"], action.std(axis=0))
    assert stats["action"]["count"] == [len(action)]
    assert np.shape(stats["observation.images.fixed"]["mean"]) == (3, 1, 1)
    pixels = np.concatenate([episode.images["fixed"] for episode in episodes]) / 255
    np.testing.assert_allclose(np.ravel(stats["observation.images.fixed"]["mean"]), pixels.mean(axis=(0, 1, 2)))


def test_two_writes_give_the_same_bytes(
    tree: Path, tmp_path: Path, episodes: list[EpisodeFrames], write_tree: Write
) -> None:
    write_tree(tmp_path / "again", episodes)
    assert tree_manifest(tmp_path / "again") == tree_manifest(tree)


def test_what_went_through_bytes_gives_the_same_tree(
    tree: Path, tmp_path: Path, episodes: list[EpisodeFrames], cell: Embodiment, video: Video, splits_of: SplitsOf
) -> None:
    with DatasetWriter(tmp_path, cell, 20, video) as writer:
        for episode in episodes:
            writer.add(PreparedEpisode.from_bytes(prepare(episode, 20, video, image_px=32).to_bytes()))
        writer.close(splits_of(episodes))
    assert tree_manifest(tmp_path) == tree_manifest(tree)


def test_the_digest_knows_no_order(
    tree: Path, tmp_path: Path, episodes: list[EpisodeFrames], write_tree: Write
) -> None:
    digest = Dataset.open(tree).digest
    assert write_tree(tmp_path / "reversed", episodes[::-1]) == digest
    assert write_tree(tmp_path / "fewer", episodes[:4]) != digest
    assert read_record(tree / layout.OWN, "dataset").digest == digest


def test_statistics_know_no_order(tree: Path, tmp_path: Path, episodes: list[EpisodeFrames], write_tree: Write) -> None:
    write_tree(tmp_path / "reversed", episodes[::-1])
    assert (tmp_path / "reversed" / layout.STATS).read_bytes() == (tree / layout.STATS).read_bytes()
    order = Dataset.open(tree).stats_of([0, 2, 4]), Dataset.open(tree).stats_of([4, 0, 2])
    assert stats_as_json(order[0]) == stats_as_json(order[1])


@pytest.mark.parametrize("what", ["pixels", "frames", "settings", "split"])
def test_other_contents_or_settings_give_another_digest(
    tmp_path: Path, make_episode: Make, cell: Embodiment, video: Video, what: str
) -> None:
    episode = make_episode(1)
    other = {
        "pixels": replace(episode, images=make_episode(2).images),
        "frames": replace(episode, time_s=episode.time_s + 1),
    }.get(what, episode)
    settings = video.model_copy(update={"crf": 30}) if what == "settings" else video
    digests = set()
    for name, content, chosen in (("a", episode, video), ("b", other, settings)):
        with DatasetWriter(tmp_path / name, cell, 20, chosen) as writer:
            writer.add_frames(content)
            digests.add(writer.close({episode.episode_id: "val"} if (name, what) == ("b", "split") else None))
    assert len(digests) == 2


def test_files_roll_over_at_their_limits(tmp_path: Path, episodes: list[EpisodeFrames], write_tree: Write) -> None:
    digest = write_tree(tmp_path, episodes, data_file_mb=0.01, video_file_mb=0.01)
    dataset = Dataset.open(tmp_path)
    assert len(list(tmp_path.glob("data/*/*.parquet"))) > 1
    assert len(list(tmp_path.glob("videos/observation.images.wrist/*/*.mp4"))) > 1
    assert dataset.digest == digest
    for index, episode in enumerate(episodes):
        np.testing.assert_array_equal(dataset.frames(index)["action"], episode.action)
        assert dataset.images(index, "wrist").shape == episode.images["wrist"].shape


def test_a_nan_poisons_no_statistics_and_is_kept(tmp_path: Path, make_episode: Make, write_tree: Write) -> None:
    episode = make_episode(1)
    state = episode.state.copy()
    state[3, 1] = np.nan
    write_tree(tmp_path, [replace(episode, state=state)])
    dataset = Dataset.open(tmp_path)
    np.testing.assert_array_equal(dataset.frames(0)["observation.state"], state)
    assert np.isfinite(dataset.stats["observation.state"]["mean"]).all()
    assert dataset.stats["observation.state"]["count"] == [len(episode) - 1]


def _without_camera(episode: EpisodeFrames) -> EpisodeFrames:
    return replace(episode, images={"fixed": episode.images["fixed"]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e, r"episode [0-9a-f]{12} is in the dataset already"),
        (lambda e: replace(e, episode_id="b", row=e.row | {"embodiment": "aloha"}), "embodiment: 'aloha', expected"),
        (lambda e: _without_camera(replace(e, episode_id="b")), r"cameras: \['fixed'\], expected \['fixed', 'wrist'\]"),
        (lambda e: replace(e, episode_id="b", state=e.state[:, :3]), "state width: 3, expected 4"),
        (lambda e: replace(e, episode_id="b", action=e.action[:, :3]), "action width: 3, expected 4"),
        (lambda e: replace(e, episode_id="b", extras={}), r"extras: \{\}, expected \{'observation.joints'"),
        (
            lambda e: replace(e, episode_id="b", images={c: f[:, :16] for c, f in e.images.items()}),
            r"camera 'fixed': picture 0 is uint8 \[16, 32, 3\], expected uint8 \[32, 32, 3\]",
        ),
    ],
)
def test_an_episode_that_does_not_fit_is_refused_and_leaves_no_trace(
    tree: Path,
    tmp_path: Path,
    episodes: list[EpisodeFrames],
    cell: Embodiment,
    video: Video,
    splits_of: SplitsOf,
    change: Callable[[EpisodeFrames], EpisodeFrames],
    message: str,
) -> None:
    with DatasetWriter(tmp_path, cell, 20, video) as writer:
        for episode in episodes:
            writer.add_frames(episode)
        with pytest.raises(DatasetError, match=message):
            writer.add_frames(change(episodes[0]))
        writer.close(splits_of(episodes))
    assert tree_manifest(tmp_path) == tree_manifest(tree)


@pytest.mark.parametrize(
    ("fps", "image_px", "changes", "message"),
    [
        (30, 32, {}, "fps: 30, expected 20"),
        (20, 32, {"crf": 30}, "video settings: .*'crf': 30.*, expected .*'crf': 12"),
        (20, 64, {}, r"site-north/1.mcap \(fixed\): pictures are 64 x 64, expected 32 x 32"),
    ],
)
def test_an_episode_prepared_for_another_dataset_is_refused(
    tmp_path: Path,
    make_episode: Make,
    moving_frames: Callable[..., Any],
    cell: Embodiment,
    video: Video,
    fps: int,
    image_px: int,
    changes: dict[str, Any],
    message: str,
) -> None:
    episode = make_episode(1, images={camera: moving_frames(23, 1, image_px) for camera in ("fixed", "wrist")})
    prepared = prepare(episode, fps, video.model_copy(update=changes), image_px=image_px)
    with DatasetWriter(tmp_path, cell, 20, video) as writer, pytest.raises(DatasetError, match=message):
        writer.add(prepared)


def test_videos_must_hold_the_frames(tmp_path: Path, make_episode: Make, cell: Embodiment, video: Video) -> None:
    good = prepare(make_episode(1), 20, video, image_px=32)
    short = prepare(make_episode(1, length=22), 20, video, image_px=32)
    with DatasetWriter(tmp_path, cell, 20, video) as writer:
        with pytest.raises(DatasetError, match=r"1.mcap \(wrist\): encoded video has 22 frames, expected 23"):
            writer.add(replace(good, videos=good.videos | {"wrist": short.videos["wrist"]}))
        writer.add(good)
        writer.close()
    assert len(Dataset.open(tmp_path)) == 1


@pytest.mark.parametrize(
    ("splits", "message"),
    [({"x" * 64: "val"}, "a split for episode xxxxxxxxxxxx, which is not in"), ({"a": "test"}, "split is 'test'")],
)
def test_a_split_of_nothing_is_refused_before_anything_is_written(
    tmp_path: Path, make_episode: Make, cell: Embodiment, video: Video, splits: dict[str, str], message: str
) -> None:
    with DatasetWriter(tmp_path, cell, 20, video) as writer:
        writer.add_frames(make_episode(1))
        with pytest.raises(DatasetError, match=message):
            writer.close(splits)
        writer.close()
    assert Dataset.open(tmp_path).episodes["split"].tolist() == ["train"]


def test_nothing_written_is_no_dataset(tmp_path: Path, cell: Embodiment, video: Video) -> None:
    with DatasetWriter(tmp_path, cell, 20, video) as writer, pytest.raises(DatasetError, match="no episode was added"):
        writer.close()


def test_a_dataset_is_not_written_over(tree: Path, cell: Embodiment, video: Video) -> None:
    with pytest.raises(DatasetError, match=r"holds a dataset already. Use `resume`"):
        DatasetWriter(tree, cell, 20, video)


def test_a_closed_writer_takes_no_more(tmp_path: Path, make_episode: Make, cell: Embodiment, video: Video) -> None:
    writer = DatasetWriter(tmp_path, cell, 20, video)
    writer.add_frames(make_episode(1))
    writer.close()
    for act in (lambda: writer.add_frames(make_episode(2)), lambda: writer.put("a", b""), writer.commit, writer.close):
        with pytest.raises(DatasetError, match="the writer is closed"):
            act()


def test_an_error_after_the_first_byte_breaks_the_writer(
    tmp_path: Path, make_episode: Make, cell: Embodiment, video: Video, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with DatasetWriter(tmp_path, cell, 20, video) as writer:
        writer.add_frames(make_episode(1))
        monkeypatch.setattr("components.dataset.remux.VideoFile.append", full)
        with pytest.raises(OSError, match="No space left"):
            writer.add_frames(make_episode(2))
        with pytest.raises(DatasetError, match="the writer is broken"):
            writer.close()
    with pytest.raises(DatasetError, match="not a dataset"):
        Dataset.open(tmp_path)


def test_an_abandoned_write_does_not_open(
    tmp_path: Path, episodes: list[EpisodeFrames], cell: Embodiment, video: Video
) -> None:
    with DatasetWriter(tmp_path, cell, 20, video) as writer:
        for episode in episodes:
            writer.add_frames(episode)
    with pytest.raises(DatasetError, match=r"not a dataset, there is no meta/info.json. Run the ingest stage first"):
        Dataset.open(tmp_path)
