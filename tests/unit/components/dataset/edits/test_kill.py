"""An edit killed at any moment leaves the tree from before or the one after it, and nothing in between."""

from __future__ import annotations

import pickle
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from components.core.errors import Busy, DatasetError
from components.core.files import tree_manifest
from components.dataset import layout
from components.dataset.commit import recover
from components.dataset.edits.delete import delete
from components.dataset.edits.renumber import renumber
from components.dataset.frames import EpisodeFrames
from components.dataset.lock import lock_path
from components.dataset.reader import Dataset

# Kills itself at the n-th call of any Python function, or of one function.
CHILD = """
import os, pickle, signal, sys
edit, root, ids, function, nth = pickle.load(sys.stdin.buffer)
from components.dataset.edits.delete import delete
from components.dataset.edits.renumber import renumber
calls = 0
def hook(frame, event, _):
    global calls
    if event == "call" and (not function or frame.f_code.co_name == function):
        calls += 1
        if calls == nth:
            os.kill(os.getpid(), signal.SIGKILL)
sys.setprofile(hook)
delete(root, ids) if edit == "delete" else renumber(root)
sys.setprofile(None)
print("calls", calls)
"""
# While a file is written; before the metadata; before the commit; between the files that take their places, and between
# those that go.
DELETE_POINTS = [("append", 2), ("stage_metadata", 1), ("publish", 1), ("replace", 16), ("_remove", 2)]
RENUMBER_POINTS = [("_write_data", 1), ("stage_metadata", 1), ("publish", 1), ("_remove", 1)]


def run_child(edit: str, root: Path, ids: list[str], function: str, nth: int) -> int:
    """Calls that were counted, or 0 where the child was killed."""
    job = pickle.dumps((edit, root, ids, function, nth))
    child = subprocess.run([sys.executable, "-c", CHILD], input=job, capture_output=True, timeout=120)
    assert child.returncode in (0, -signal.SIGKILL), child.stderr.decode()
    return int(child.stdout.split()[1]) if child.returncode == 0 else 0


def check_left(root: Path, before: dict[str, str], after: dict[str, str]) -> None:
    """Opens and reads as it is; then completed, it is one of the two trees, file by file."""
    dataset = Dataset.open(root)
    for number in dataset.indices.tolist():
        assert len(dataset.images(number, "wrist")) == len(dataset.frames(number)["action"])
    recover(root)
    Dataset.open(root).verify()
    assert tree_manifest(root) in (before, after)
    assert not list((root / layout.OWN).glob(".*"))


@pytest.mark.kill
@pytest.mark.parametrize(("function", "nth"), DELETE_POINTS)
def test_a_killed_deletion(
    own_tree: Path, tree: Path, tmp_path: Path, episodes: list[EpisodeFrames], function: str, nth: int
) -> None:
    ids = [episodes[1].episode_id, episodes[3].episode_id]
    whole = Path(shutil.copytree(tree, tmp_path / "whole"))
    delete(whole, ids)
    assert run_child("delete", own_tree, ids, function, nth) == 0
    check_left(own_tree, tree_manifest(tree), tree_manifest(whole))
    if len(Dataset.open(own_tree)) == len(episodes):
        delete(own_tree, ids)
    assert tree_manifest(own_tree) == tree_manifest(whole)


@pytest.mark.kill
@pytest.mark.parametrize(("function", "nth"), RENUMBER_POINTS)
def test_a_killed_renumbering(
    own_tree: Path, tmp_path: Path, episodes: list[EpisodeFrames], function: str, nth: int
) -> None:
    delete(own_tree, [episodes[1].episode_id])
    before = tree_manifest(own_tree)
    whole = Path(shutil.copytree(own_tree, tmp_path / "whole"))
    renumber(whole)
    assert run_child("renumber", own_tree, [], function, nth) == 0
    check_left(own_tree, before, tree_manifest(whole))
    renumber(own_tree)
    assert tree_manifest(own_tree) == tree_manifest(whole)


@pytest.mark.kill
def test_killed_anywhere_in_a_deletion(tree: Path, tmp_path: Path, episodes: list[EpisodeFrames]) -> None:
    ids = [episodes[2].episode_id]
    whole = Path(shutil.copytree(tree, tmp_path / "whole"))
    calls = run_child("delete", whole, ids, "", 0)
    for nth in np.random.default_rng(3).integers(1, calls, 6).tolist():
        root = Path(shutil.copytree(tree, tmp_path / str(nth)))
        assert run_child("delete", root, ids, "", nth) == 0
        check_left(root, tree_manifest(tree), tree_manifest(whole))


def test_somebody_else_writes(own_tree: Path, episodes: list[EpisodeFrames]) -> None:
    code = "import sys, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print('held', flush=True)"
    code += "; input()"
    command = [sys.executable, "-c", code, str(lock_path(own_tree))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(Busy, match="another process is writing this dataset"):
            delete(own_tree, [episodes[0].episode_id])
        with pytest.raises(Busy, match="another process is writing this dataset"):
            renumber(own_tree)
        other.communicate("done")
    assert len(Dataset.open(own_tree)) == 5


def test_an_error_on_the_way_changes_nothing(own_tree: Path, episodes: list[EpisodeFrames]) -> None:
    video = next((own_tree / "videos/observation.images.wrist").rglob("*.mp4"))
    data = video.read_bytes()
    video.write_bytes(data[: len(data) // 2])
    before = tree_manifest(own_tree)
    with pytest.raises(DatasetError, match="video cannot be read"):
        delete(own_tree, [episodes[0].episode_id])
    assert tree_manifest(own_tree) == before
