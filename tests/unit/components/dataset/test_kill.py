"""A writer killed at any moment leaves what the last commit had, and the rest can be added again."""

from __future__ import annotations

import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.core.errors import DatasetError
from components.core.files import replace_dir, tree_manifest
from components.core.params import Video
from components.core.spec import Embodiment
from components.dataset import layout
from components.dataset.frames import EpisodeFrames
from components.dataset.lock import lock_path
from components.dataset.reader import Dataset
from components.dataset.resume import resume
from components.dataset.writer import DatasetWriter

# Commits after every second episode. Kills itself at the n-th call of any Python function, from the start ("*") or from
# the first commit on (""), or of one function; the profile hook needs no help from the code it interrupts. Prints the
# digest of each commit.
CHILD = """
import os, pickle, signal, sys
root, embodiment, fps, video, episodes, function, nth, resuming = pickle.load(sys.stdin.buffer)
from components.dataset.resume import resume
from components.dataset.writer import DatasetWriter
calls = 0
def hook(frame, event, _):
    global calls
    if event == "call" and (function in ("", "*") or frame.f_code.co_name == function):
        calls += 1
        if calls == nth:
            os.kill(os.getpid(), signal.SIGKILL)
if function:
    sys.setprofile(hook)
writer = resume(root, video) if resuming else DatasetWriter(root, embodiment, fps, video)
for index, episode in enumerate(episodes):
    writer.add_frames(episode)
    if index % 2:
        sys.setprofile(hook)
        print(writer.commit(), flush=True)
sys.setprofile(None)
print("calls", calls)
"""
# In the third episode; before the metadata of the first commit; before it takes place; between the files taking theirs.
POINTS = [("append", 5), ("stage_metadata", 1), ("publish", 1), ("_move_committed", 3), ("replace", 14)]

Write = Callable[..., str]
Make = Callable[..., EpisodeFrames]


def run_child(
    root: Path,
    body: Embodiment,
    video: Video,
    episodes: list[EpisodeFrames],
    function: str,
    nth: int,
    *,
    resuming: bool = False,
) -> list[str]:
    """The lines that the child wrote, until it was killed or came to its end."""
    job = pickle.dumps((root, body, 20, video, episodes, function, nth, resuming))
    child = subprocess.run([sys.executable, "-c", CHILD], input=job, capture_output=True, timeout=120)
    assert child.returncode in (0, -signal.SIGKILL), child.stderr.decode()
    assert (child.returncode == 0) == (b"calls" in child.stdout)
    return child.stdout.decode().splitlines()


def tiny(make_episode: Make) -> list[EpisodeFrames]:
    return [make_episode(seed, length=3 + seed) for seed in range(6)]


@pytest.mark.kill
@pytest.mark.parametrize(("function", "nth"), POINTS)
@pytest.mark.parametrize("resuming", [False, True], ids=["fresh", "resumed"])
def test_a_killed_writer_leaves_a_whole_commit_or_the_tree_before(
    tmp_path: Path,
    cell: Embodiment,
    video: Video,
    write_tree: Write,
    make_episode: Make,
    function: str,
    nth: int,
    resuming: bool,
) -> None:
    root, episodes = tmp_path / "tree", tiny(make_episode)
    start = 2 if resuming else 0
    before = write_tree(root, episodes[:start]) if resuming else None
    written = run_child(root, cell, video, episodes[start:], function, nth, resuming=resuming)
    assert "calls" not in " ".join(written)
    check_left(root, before, written, episodes, start, video, cell)


@pytest.mark.kill
@pytest.mark.parametrize("where", ["", "*"], ids=["in a commit", "in writing"])
def test_killed_anywhere(tmp_path: Path, cell: Embodiment, video: Video, make_episode: Make, where: str) -> None:
    episodes = tiny(make_episode)[:4]
    calls = int(run_child(tmp_path / "whole", cell, video, episodes, where, 0)[-1].split()[1])
    points = np.random.default_rng(1).integers(1, calls, 5).tolist()
    for nth in points:
        root = tmp_path / str(nth)
        written = run_child(root, cell, video, episodes, where, nth)
        assert len(written) < 3
        check_left(root, None, written, episodes, 0, video, cell)


@pytest.mark.kill
def test_an_append_killed_anywhere(
    tmp_path: Path, cell: Embodiment, video: Video, make_episode: Make, write_tree: Write
) -> None:
    episodes = tiny(make_episode)[:4]
    before = write_tree(tmp_path / "start", episodes[:2])
    shutil.copytree(tmp_path / "start", tmp_path / "whole")
    last = run_child(tmp_path / "whole", cell, video, episodes[2:], "*", 0, resuming=True)[-1]
    for nth in np.random.default_rng(2).integers(1, int(last.split()[1]), 4).tolist():
        root = Path(shutil.copytree(tmp_path / "start", tmp_path / str(nth)))
        written = run_child(root, cell, video, episodes[2:], "*", nth, resuming=True)
        check_left(root, before, written, episodes, 2, video, cell)


def opened(root: Path) -> Dataset | None:
    try:
        return Dataset.open(root)
    except DatasetError as error:
        message = str(error)
    assert "no such folder" in message or "not a dataset, there is no meta/info.json" in message
    return None


def check_left(
    root: Path,
    before: str | None,
    written: list[str],
    episodes: list[EpisodeFrames],
    start: int,
    video: Video,
    body: Embodiment,
) -> None:
    """The tree is that of the last commit that was told of, or of one after it; and the rest can be added."""
    dataset = opened(root)
    if dataset is None:
        assert (before, written) == (None, [])
        writer = DatasetWriter(root, body, 20, video)
    else:
        held = set(dataset.episodes["episode_id"])
        least = start + 2 * len(written)
        assert len(held) in (least, least + 2)
        assert held == {episode.episode_id for episode in episodes[: len(held)]}
        if len(held) == least:
            assert dataset.digest == (written[-1] if written else before)
        dataset.verify()
        for index in range(len(held)):
            assert len(dataset.images(index, "wrist")) == len(dataset.frames(index)["action"])
        writer = resume(root, video)
        assert writer.totals.ids == held
    with writer:
        for episode in episodes:
            if episode.episode_id not in writer.totals.ids:
                writer.add_frames(episode)
        digest = writer.close()
    dataset = Dataset.open(root)
    dataset.verify()
    assert dataset.digest == digest
    assert len(dataset) == len(episodes)
    assert not list((root / "meta/gripline").glob(".*"))
    assert not lock_path(root).exists()
    with DatasetWriter(root.with_name("fresh"), body, 20, video) as fresh:
        for episode in episodes:
            fresh.add_frames(episode)
        assert fresh.close() == digest
    assert (root.with_name("fresh") / layout.STATS).read_bytes() == (root / layout.STATS).read_bytes()
    shutil.rmtree(root.with_name("fresh"))


def test_a_write_that_fails_inside_a_swap_keeps_the_old_tree(
    tmp_path: Path, tree: Path, episodes: list[EpisodeFrames], write_tree: Write
) -> None:
    root = tmp_path / "dataset"
    shutil.copytree(tree, root)
    with pytest.raises(DatasetError, match="no episode was added"), replace_dir(root) as folder:
        write_tree(folder, [])
    assert tree_manifest(root) == tree_manifest(tree)
    with replace_dir(root) as folder:
        digest = write_tree(folder, episodes[:2])
    assert Dataset.open(root).digest == digest
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]
