"""Gaps that are closed: the tree is the one that a fresh build would have made, down to the rows of its tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.core.files import sha256_file, tree_manifest
from components.core.params import Video
from components.dataset import layout
from components.dataset.edits.delete import delete
from components.dataset.edits.renumber import renumber
from components.dataset.frames import EpisodeFrames
from components.dataset.reader import Dataset
from components.dataset.resume import resume

Make = Callable[..., EpisodeFrames]
Write = Callable[..., str]
NUMBERS = ("episode_index", "index", "frame_index", "timestamp", layout.ACTION)


def rows(root: Path, kind: str, columns: tuple[str, ...] | None = None) -> list[dict[str, object]]:
    """Of all files of a kind, in the order of their names, as LeRobot reads them."""
    paths = sorted((root / kind).rglob("*.parquet"))
    return [row for path in paths for row in pq.read_table(path, columns=columns and list(columns)).to_pylist()]


def unplaced(row: dict[str, object]) -> dict[str, object]:
    """Without what depends on which files there are, and on the tasks that were ever there."""
    parts = ("chunk_index", "file_index", "_timestamp")
    return {name: value for name, value in row.items() if not name.endswith(parts) and "task_index" not in name}


@pytest.mark.parametrize("gone", [[0], [2], [4], [1, 3], [0, 1, 4]])
def test_rows_are_those_of_a_fresh_build(
    own_tree: Path, tmp_path: Path, episodes: list[EpisodeFrames], write_tree: Write, gone: list[int]
) -> None:
    rest = [number for number in range(5) if number not in gone]
    digest = write_tree(tmp_path / "fresh", [episodes[number] for number in rest])
    delete(own_tree, [episodes[number].episode_id for number in gone])
    videos = {path: sha256_file(path) for path in own_tree.rglob("*.mp4")}
    done = renumber(own_tree)
    assert (done.digest, done.closed) == (digest, len(gone))
    dataset = Dataset.open(own_tree)
    dataset.verify()
    assert dataset.indices.tolist() == list(range(len(rest)))
    assert {path: sha256_file(path) for path in own_tree.rglob("*.mp4")} == videos
    assert rows(own_tree, "data", NUMBERS) == rows(tmp_path / "fresh", "data", NUMBERS)
    assert [unplaced(row) for row in rows(own_tree, "meta/episodes")] == [
        unplaced(row) for row in rows(tmp_path / "fresh", "meta/episodes")
    ]
    assert dataset.info == Dataset.open(tmp_path / "fresh").info | {"total_tasks": dataset.info["total_tasks"]}
    for number, episode in enumerate(rest):
        np.testing.assert_array_equal(dataset.frames(number)["action"], episodes[episode].action)
        assert dataset.streams_of(number) == episodes[episode].streams
        assert len(dataset.images(number, "fixed")) == len(episodes[episode])


def test_without_gaps_nothing_is_written(own_tree: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in own_tree.rglob("*")}
    digest = Dataset.open(own_tree).digest
    done = renumber(own_tree)
    assert (done.moved, done.closed, done.data, done.digest) == (0, 0, (), digest)
    assert {path: path.stat().st_mtime_ns for path in own_tree.rglob("*")} == before


def test_files_before_the_first_gap_stay(tmp_path: Path, make_episode: Make, write_tree: Write) -> None:
    episodes = [make_episode(seed, length=20) for seed in range(6)]
    root = tmp_path / "tree"
    write_tree(root, episodes, data_file_mb=0.0001, video_file_mb=0.0001)
    delete(root, [episodes[3].episode_id])
    before = tree_manifest(root / "data")
    done = renumber(root)
    after = tree_manifest(root / "data")
    assert done.data == tuple(f"data/chunk-000/file-00{number}.parquet" for number in (4, 5))
    assert {f"data/{name}" for name in before if after[name] != before[name]} == set(done.data)
    assert done.moved == 2
    Dataset.open(root).verify()


def test_writing_goes_on_without_a_gap(
    own_tree: Path, episodes: list[EpisodeFrames], make_episode: Make, video: Video
) -> None:
    delete(own_tree, [episodes[4].episode_id, episodes[0].episode_id])
    renumber(own_tree)
    with resume(own_tree, video) as writer:
        writer.add_frames(make_episode(7))
        writer.close()
    dataset = Dataset.open(own_tree)
    dataset.verify()
    assert dataset.indices.tolist() == [0, 1, 2, 3]
    assert [row["index"] for row in rows(own_tree, "data", ("index",))] == list(range(dataset.info["total_frames"]))


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(["delete", "renumber", "append"]), min_size=3, max_size=7), data=st.data())
def test_any_order_of_edits_keeps_the_rows_in_order(
    tmp_path_factory: pytest.TempPathFactory,
    make_episode: Make,
    write_tree: Write,
    video: Video,
    steps: list[str],
    data: st.DataObject,
) -> None:
    root = tmp_path_factory.mktemp("edits") / "tree"
    live = {seed: make_episode(seed, length=4 + seed % 3) for seed in range(4)}
    write_tree(root, list(live.values()), data_file_mb=0.003, video_file_mb=0.003)
    for step in steps:
        if step == "append":
            seed = max(live) + 1
            live[seed] = make_episode(seed, length=5)
            with resume(root, video) as writer:
                writer.add_frames(live[seed])
                writer.close()
        elif step == "delete" and len(live) > 1:
            seed = data.draw(st.sampled_from(sorted(live)))
            delete(root, [live.pop(seed).episode_id])
        else:
            renumber(root)
        dataset = Dataset.open(root)
        dataset.verify()
        for number, episode in zip(dataset.indices.tolist(), live.values(), strict=True):
            np.testing.assert_array_equal(dataset.frames(number)["action"], episode.action)
    renumber(root)
    frames = sum(map(len, live.values()))
    assert [row["index"] for row in rows(root, "data", ("index",))] == list(range(frames))
    assert [row["episode_index"] for row in rows(root, "meta/episodes")] == list(range(len(live)))
