"""After a delete, episode numbers are labels: strictly increasing, with gaps, and so are frame numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow.parquet as pq
import pytest
from beside import UNIT, helpers

from components.core.errors import DatasetError
from components.core.files import read_json
from components.core.params import Video
from components.dataset import layout
from components.dataset.extract import extract
from components.dataset.frames import EpisodeFrames
from components.dataset.reader import Dataset
from components.dataset.resume import resume
from components.dataset.writer import DatasetWriter

Make = Callable[..., EpisodeFrames]
LEFT = [0, 2, 3, 4]
# Every episode gets files of its own.
TINY = {"data_file_mb": 1e-6, "video_file_mb": 1e-6}


@pytest.fixture(scope="module")
def sealing() -> ModuleType:
    return helpers(UNIT / "dataset/sealing.py")


@pytest.fixture
def gapped(tmp_path: Path, episodes: list[EpisodeFrames], write_tree: Callable[..., str], sealing: ModuleType) -> Path:
    """Five episodes, the second one taken out; its digest is that of the four others."""
    root = tmp_path / "gapped"
    write_tree(root, episodes, **TINY)
    sealing.drop_episode(root, 1)
    return root


def test_episodes_are_found_by_their_number(gapped: Path, episodes: list[EpisodeFrames]) -> None:
    dataset = Dataset.open(gapped)
    assert len(dataset) == 4
    np.testing.assert_array_equal(dataset.indices, LEFT)
    np.testing.assert_array_equal(dataset.lengths, [len(episodes[number]) for number in LEFT])
    assert dataset.table(["episode_index"])["episode_index"].to_pylist() == LEFT
    for number in LEFT:
        np.testing.assert_array_equal(dataset.frames(number)["action"], episodes[number].action)
        assert dataset.frames(number)["episode_index"].tolist() == [number] * len(episodes[number])
        assert len(dataset.images(number, "wrist")) == len(episodes[number])
        assert dataset.episode_id(number) == episodes[number].episode_id == dataset.row(number)["episode_id"]
        assert dataset.streams_of(number) == episodes[number].streams
        assert dataset.stats_of_episode(number)["action"]["count"] == [len(episodes[number])]


@pytest.mark.parametrize("number", [-1, 1, 5])
def test_a_number_in_a_gap_is_no_episode(gapped: Path, number: int) -> None:
    dataset = Dataset.open(gapped)
    for ask in (dataset.frames, dataset.episode_id, dataset.row, dataset.streams_of, dataset.stats_of_episode):
        with pytest.raises(DatasetError, match=f"no episode {number}; there are 4"):
            ask(number)


def test_info_counts_numbers_and_frames_that_are_left(gapped: Path) -> None:
    info = read_json(gapped / layout.INFO)
    assert info["total_episodes"] == 5
    assert info["total_frames"] == Dataset.open(gapped).lengths.sum()


def test_an_append_goes_on_after_the_last_number(
    gapped: Path, episodes: list[EpisodeFrames], video: Video, make_episode: Make
) -> None:
    new = make_episode(7)
    with resume(gapped, video) as writer:
        writer.add_frames(new)
        writer.close()
    dataset = Dataset.open(gapped)
    assert dataset.indices.tolist() == [*LEFT, 5]
    starts = dataset.table(["dataset_from_index"])["dataset_from_index"].to_pylist()
    assert starts[-1] == sum(map(len, episodes))
    np.testing.assert_array_equal(dataset.frames(5)["index"], np.arange(starts[-1], starts[-1] + len(new)))
    rows = pq.read_table(gapped / layout.EPISODES_PATH.format(**layout.place(1))).to_pylist()
    assert [(row["episode_index"], row["length"]) for row in rows] == [(5, len(new))]
    info = read_json(gapped / layout.INFO)
    assert (info["total_episodes"], info["splits"]) == (6, {"train": "0:6"})
    assert info["total_frames"] == dataset.lengths.sum()


def test_the_numbers_of_the_last_episodes_are_not_given_again(
    tmp_path: Path,
    episodes: list[EpisodeFrames],
    write_tree: Callable[..., str],
    video: Video,
    make_episode: Make,
    sealing: ModuleType,
) -> None:
    write_tree(tmp_path / "tree", episodes, **TINY)
    for number in (3, 4):
        sealing.drop_episode(tmp_path / "tree", number)
    with resume(tmp_path / "tree", video) as writer:
        writer.add_frames(make_episode(7))
        writer.close()
    dataset = Dataset.open(tmp_path / "tree")
    assert dataset.indices.tolist() == [0, 1, 2, 5]
    assert dataset.frames(5)["index"][0] == sum(map(len, episodes))


def test_a_copy_goes_by_numbers(gapped: Path, tmp_path: Path, episodes: list[EpisodeFrames], video: Video) -> None:
    dataset = Dataset.open(gapped)
    with DatasetWriter(tmp_path / "copy", dataset.embodiment, 20, video) as writer:
        for number in LEFT:
            writer.add(extract(dataset, number))
        writer.close()
    copy = Dataset.open(tmp_path / "copy")
    assert copy.indices.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(copy.frames(1)["action"], episodes[2].action)


def test_statistics_leave_out_what_was_deleted(gapped: Path, episodes: list[EpisodeFrames]) -> None:
    dataset = Dataset.open(gapped)
    frames = sum(len(episodes[number]) for number in LEFT)
    assert dataset.stats_of(LEFT)["action"]["count"] == [frames]
