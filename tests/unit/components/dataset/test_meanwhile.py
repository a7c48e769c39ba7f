"""What readers get while another process commits, and after it has."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.core.errors import DatasetError
from components.core.files import write_json
from components.core.params import Video
from components.dataset import commit, layout, opening
from components.dataset.edits.delete import delete
from components.dataset.edits.merge import merge
from components.dataset.edits.renumber import renumber
from components.dataset.frames import EpisodeFrames
from components.dataset.parts import part_of, parts_of
from components.dataset.reader import Dataset
from components.dataset.resume import resume
from components.dataset.statistics.merging import running_of, running_of_parts

Make = Callable[..., EpisodeFrames]
CHANGED = "has changed since it was opened. Open it again"

# Commits again and again: a new episode at first, then another file of notes each time.
CHILD = """
import pickle, sys
root, video, episodes, commits = pickle.load(sys.stdin.buffer)
from components.dataset.resume import resume
with resume(root, video) as writer:
    for number in range(commits):
        if number < len(episodes):
            writer.add_frames(episodes[number])
        writer.put("meta/gripline/notes.txt", str(number).encode())
        writer.commit(params={"number": number})
"""


def test_a_dataset_opens_and_reads_while_another_process_commits(
    own_tree: Path, video: Video, make_episode: Make
) -> None:
    episodes = [make_episode(seed, length=4) for seed in range(10, 30)]
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdin is not None
    child.stdin.write(pickle.dumps((own_tree, video, episodes, 60)))
    child.stdin.close()
    child.stdin = None
    seen = []
    while child.poll() is None:
        dataset = Dataset.open(own_tree)
        last = int(dataset.indices[-1])
        assert len(dataset.frames(last)["action"]) == dataset.lengths[-1] == len(dataset.images(last, "wrist"))
        assert dataset.stats_of_episode(last)["action"]["count"] == [dataset.lengths[-1]]
        seen.append(len(dataset))
    errors = child.communicate()[1].decode()
    assert child.returncode == 0, errors
    assert seen == sorted(seen)
    assert len(set(seen)) > 3
    assert len(Dataset.open(own_tree)) == 25


@pytest.fixture
def begun(own_tree: Path, video: Video, make_episode: Make, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five episodes and a sixth, whose commit has moved no file yet."""
    with monkeypatch.context() as patch, resume(own_tree, video) as writer:
        patch.setattr(commit, "_move_committed", lambda _: None)
        writer.add_frames(make_episode(7))
        writer.commit()
    return own_tree


class Moved:
    """`resolve`, after whose `nth` call the files take their places."""

    def __init__(self, nth: int) -> None:
        self.calls, self._nth, self._resolve = 0, nth, commit.resolve

    def __call__(self, root: Path, name: str) -> Path:
        path = self._resolve(root, name)
        self.calls += 1
        if self.calls == self._nth:
            commit.recover(root)
        return path


# Seal, info, record, embodiment, files.json, index, totals, and the hash of the index.
@pytest.mark.parametrize("nth", range(1, 9))
def test_files_that_move_after_they_were_asked_for(begun: Path, monkeypatch: pytest.MonkeyPatch, nth: int) -> None:
    moved = Moved(nth)
    monkeypatch.setattr(commit, "resolve", moved)
    assert len(Dataset.open(begun)) == 6
    assert moved.calls > nth
    assert not (begun / commit.COMMITTED).exists()


def test_places_of_an_opened_dataset_outlast_the_move(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = Dataset.open(begun)
    places = dataset.places
    old = {"data": places.data(5), "video": places.video(5, "wrist"), "metadata": places.metadata(5)}
    assert commit.COMMITTED in old["data"].path.as_posix()
    commit.recover(begun)
    monkeypatch.setattr(places, "data", lambda _: old["data"])
    monkeypatch.setattr(places, "video", lambda *_: old["video"])
    monkeypatch.setattr(places, "metadata", lambda _: old["metadata"])
    assert len(dataset.frames(5)["action"]) == len(dataset.images(5, "wrist")) == 23
    assert dataset.stats_of_episode(5)["action"]["count"] == [23]


def test_a_file_that_is_nowhere(tmp_path: Path) -> None:
    (tmp_path / commit.COMMITTED).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="none"):
        commit.located(tmp_path, "none", Path.read_bytes)
    with pytest.raises(FileNotFoundError, match=r"tree/none"):
        commit.settled(tmp_path / f"tree/{commit.COMMITTED}/none", Path.read_bytes)


@pytest.mark.parametrize(("commits", "tries"), [(3, 4), (99, opening._ATTEMPTS)])
def test_opening_is_tried_again_as_long_as_others_commit(
    own_tree: Path, video: Video, monkeypatch: pytest.MonkeyPatch, commits: int, tries: int
) -> None:
    calls: list[int] = []
    opened = opening._open

    def overtaken(root: Path) -> Any:
        calls.append(1)
        if len(calls) > commits:
            return opened(root)
        record = root / layout.OWN_RECORD
        record.write_text(record.read_text() + " ")
        raise DatasetError("older than the next")

    monkeypatch.setattr(opening, "_open", overtaken)
    monkeypatch.setattr(opening, "_PAUSE_S", 0)
    if commits < opening._ATTEMPTS:
        assert len(Dataset.open(own_tree)) == 5
    else:
        with pytest.raises(DatasetError, match="older than the next"):
            Dataset.open(own_tree)
    assert len(calls) == tries


@pytest.mark.parametrize(("committed", "tries"), [(False, 1), (True, opening._UNCHANGED_ATTEMPTS)])
def test_what_is_wrong_for_good_is_said_soon(
    own_tree: Path, monkeypatch: pytest.MonkeyPatch, committed: bool, tries: int
) -> None:
    calls: list[Path] = []
    opened = opening._open
    monkeypatch.setattr(opening, "_open", lambda root: (calls.append(root), opened(root))[1])
    monkeypatch.setattr(opening, "_PAUSE_S", 0)
    (own_tree / layout.OWN_TOTALS).unlink()
    if committed:
        (own_tree / commit.COMMITTED).mkdir()
    with pytest.raises(DatasetError, match=r"missing: meta/gripline/totals.json"):
        Dataset.open(own_tree)
    assert len(calls) == tries


@pytest.fixture(params=["append", "delete"])
def changed(
    request: pytest.FixtureRequest, own_tree: Path, video: Video, make_episode: Make, episodes: list[EpisodeFrames]
) -> Dataset:
    """A dataset that was opened before somebody wrote to it."""
    dataset = Dataset.open(own_tree)
    if request.param == "delete":
        delete(own_tree, [episodes[2].episode_id])
    else:
        with resume(own_tree, video) as writer:
            writer.add_frames(make_episode(7))
            writer.close()
    return dataset


def test_statistics_of_other_episodes_are_not_those_of_the_dataset(changed: Dataset) -> None:
    with pytest.raises(DatasetError, match=f"meta/stats.json {CHANGED}"):
        _ = changed.stats
    with pytest.raises(DatasetError, match=f"meta/gripline/totals.json {CHANGED}"):
        changed.running()
    with pytest.raises(DatasetError, match=f"meta/gripline/totals.json {CHANGED}"):
        running_of_parts([part_of(changed)])
    again = Dataset.open(changed.root)
    assert again.stats["action"]["count"] == [again.lengths.sum()]


def test_what_was_read_before_stays(own_tree: Path, episodes: list[EpisodeFrames]) -> None:
    dataset = Dataset.open(own_tree)
    before = dataset.stats
    delete(own_tree, [episodes[2].episode_id])
    assert dataset.stats is before


def test_statistics_that_went_missing(own_tree: Path) -> None:
    dataset = Dataset.open(own_tree)
    (own_tree / layout.STATS).unlink()
    with pytest.raises(DatasetError, match=f"meta/stats.json {CHANGED}"):
        _ = dataset.stats


def test_copied_statistics_are_those_that_the_manifest_was_made_with(tree: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(tree, tmp_path / "tree"))
    merge([source], tmp_path / "all")
    shutil.rmtree(source)
    (part,) = parts_of(tmp_path / "all")
    assert part.dataset.running().keys() == Dataset.open(tree).running().keys()
    for name in (layout.STATS, layout.OWN_TOTALS):
        write_json(tmp_path / "all/members/tree" / name, {})
    for read in (lambda: part.dataset.stats, part.dataset.running):
        with pytest.raises(DatasetError, match=CHANGED):
            read()


def test_a_deleted_episode_has_no_statistics(own_tree: Path, episodes: list[EpisodeFrames]) -> None:
    dataset = Dataset.open(own_tree)
    delete(own_tree, [episodes[2].episode_id])
    with pytest.raises(
        DatasetError, match=r"the row of episode 2 has changed since the dataset was opened. Open it again"
    ):
        dataset.stats_of_episode(2)
    with pytest.raises(
        DatasetError, match=r"statistics of 1 episodes, expected 2.*open it again|sketches of 4 episodes"
    ):
        running_of(dataset, [1, 2])
    renumber(own_tree)
    with pytest.raises(DatasetError, match="the row of episode 4 has changed"):
        dataset.stats_of_episode(4)


def test_rows_at_other_positions_are_not_served(own_tree: Path, episodes: list[EpisodeFrames]) -> None:
    before, dataset = Dataset.open(own_tree), Dataset.open(own_tree)
    whole = before.frames(4)["action"]
    delete(own_tree, [episodes[2].episode_id])
    for number in (2, 3, 4):
        with pytest.raises(DatasetError, match=rf"episode {number} has \d+ rows, the metadata promises"):
            dataset.frames(number)
    np.testing.assert_array_equal(dataset.frames(1)["action"], episodes[1].action)
    # Its file was open already.
    np.testing.assert_array_equal(before.frames(4)["action"], whole)
