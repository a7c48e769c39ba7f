"""A writer killed at any point leaves nothing that opens, and what was there before stays whole."""

from __future__ import annotations

import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from components.core.errors import DatasetError
from components.core.files import replace_dir, tree_manifest
from components.core.params import Video
from components.core.spec import Embodiment
from components.dataset.frames import EpisodeFrames
from components.dataset.reader import Dataset
from components.dataset.resume import resume

# Kills itself at the n-th call of a function; the profile hook needs no help from the code it interrupts.
CHILD = """
import os, pickle, signal, sys
root, embodiment, fps, video, episodes, (file, function, nth), resuming = pickle.load(sys.stdin.buffer)
from components.dataset.resume import resume
from components.dataset.writer import DatasetWriter
calls = 0
def hook(frame, event, _):
    global calls
    code = frame.f_code
    if event == "call" and code.co_name == function and code.co_filename.endswith(file):
        calls += 1
        if calls == nth:
            os.kill(os.getpid(), signal.SIGKILL)
sys.setprofile(hook)
writer = resume(root, video) if resuming else DatasetWriter(root, embodiment, fps, video)
for episode in episodes:
    writer.add(episode)
writer.close()
"""
# In the third episode, and just before the last file of all.
POINTS = [("remux.py", "append", 5), ("core/records.py", "write_record", 1)]

Write = Callable[..., str]
Point = tuple[str, str, int]


def killed(
    root: Path,
    embodiment: Embodiment,
    video: Video,
    episodes: list[EpisodeFrames],
    point: Point,
    resuming: bool = False,
) -> None:
    job = pickle.dumps((root, embodiment, 20, video, episodes, point, resuming))
    child = subprocess.run([sys.executable, "-c", CHILD], input=job, capture_output=True, timeout=120)
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()


@pytest.mark.kill
@pytest.mark.parametrize("point", POINTS, ids=lambda point: point[1])
def test_what_a_killed_writer_leaves_does_not_open(
    tmp_path: Path, episodes: list[EpisodeFrames], cell: Embodiment, video: Video, point: Point
) -> None:
    killed(tmp_path / "tree", cell, video, episodes, point)
    assert any((tmp_path / "tree").rglob("*"))
    with pytest.raises(DatasetError, match=r"not a dataset|not complete"):
        Dataset.open(tmp_path / "tree")


@pytest.mark.kill
def test_adding_that_was_killed_leaves_the_old_dataset_and_can_be_done_again(
    tmp_path: Path,
    tree: Path,
    episodes: list[EpisodeFrames],
    cell: Embodiment,
    video: Video,
    write_tree: Write,
    make_episode: Callable[..., EpisodeFrames],
) -> None:
    root = tmp_path / "tree"
    write_tree(root, episodes[:3])
    before = tree_manifest(root)
    more = [*episodes[3:], make_episode(9)]
    killed(root, cell, video, more, ("remux.py", "append", 7), resuming=True)
    after = tree_manifest(root)
    assert {name: after[name] for name in before} == before
    assert len(Dataset.open(root)) == 3
    with resume(root, video) as writer:
        for episode in more:
            writer.add(episode)
        digest = writer.close()
    Dataset.open(root).verify()
    assert digest == write_tree(tmp_path / "fresh", [*episodes, make_episode(9)])


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
