from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from components.core.errors import Busy
from components.core.files import tree_manifest
from components.core.params import Video
from components.core.spec import Embodiment
from components.dataset.frames import EpisodeFrames
from components.dataset.lock import lock_path, writing
from components.dataset.resume import resume
from components.dataset.writer import DatasetWriter

# Holds the dataset until its input ends.
HOLDER = """
import sys
from pathlib import Path
from components.dataset.lock import writing
with writing(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds `root`."""
    command = [sys.executable, "-c", HOLDER, str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == b"held\n"
            yield child
        finally:
            child.stdin.close()
            child.wait(timeout=60)


def test_a_second_process_is_busy_until_the_first_is_done(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    with holder(root):
        assert lock_path(root) == tmp_path / ".tree.lock"
        with pytest.raises(Busy, match=r"tree: another process is writing this dataset. Wait until it is done"):
            writing(root).__enter__()
    with writing(root):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.kill
def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    with holder(tmp_path / "tree") as child:
        os.kill(child.pid, signal.SIGKILL)
        child.wait(timeout=60)
        with writing(tmp_path / "tree"):
            pass
    assert list(tmp_path.iterdir()) == []


def test_one_process_may_hold_it_several_times(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    with writing(root):
        with writing(tmp_path / "other" / ".." / "tree"):
            assert lock_path(root).exists()
        assert lock_path(root).exists()
        taken = subprocess.run([sys.executable, "-c", HOLDER, str(root)], input=b"", capture_output=True, timeout=60)
        assert b"another process is writing this dataset" in taken.stderr
    assert not lock_path(root).exists()


def test_a_forked_child_does_not_hold_what_its_parent_holds(tmp_path: Path) -> None:
    with writing(tmp_path / "tree"):
        child = os.fork()
        if not child:
            try:
                writing(tmp_path / "tree").__enter__()
            except Busy:
                os._exit(7)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_writers_of_two_processes_exclude_each_other(
    own_tree: Path, video: Video, cell: Embodiment, make_episode: Callable[..., EpisodeFrames]
) -> None:
    before = tree_manifest(own_tree)
    with holder(own_tree):
        with pytest.raises(Busy, match="another process is writing this dataset"):
            resume(own_tree, video)
        with pytest.raises(Busy, match="another process is writing this dataset"):
            DatasetWriter(own_tree, cell, 20, video)
    assert tree_manifest(own_tree) == before
    with resume(own_tree, video) as writer:
        writer.add_frames(make_episode(7))
        writer.commit()
        assert lock_path(own_tree).exists()
        writer.close()
        assert not lock_path(own_tree).exists()


def test_a_writer_lets_go_however_it_ends(own_tree: Path, video: Video, cell: Embodiment) -> None:
    resume(own_tree, video).abort()
    assert not lock_path(own_tree).exists()
    with pytest.raises(Exception, match="holds a dataset already"):
        DatasetWriter(own_tree, cell, 20, video)
    with pytest.raises(Exception, match="written with video settings"):
        resume(own_tree, video.model_copy(update={"crf": 30}))
    assert not lock_path(own_tree).exists()
    assert [path.name for path in own_tree.parent.iterdir()] == ["tree"]
