"""The same episodes give the same bytes, whoever writes them and whoever writes at the same time."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from components.core.files import tree_manifest
from components.core.params import Video
from components.core.spec import Embodiment
from components.dataset.frames import EpisodeFrames
from components.dataset.reader import Dataset

# Writes some episodes, and adds the others in a second run.
CHILD = """
import pickle, sys
root, embodiment, video, episodes = pickle.load(sys.stdin.buffer)
from components.dataset.resume import resume
from components.dataset.writer import DatasetWriter
with DatasetWriter(root, embodiment, 20, video) as writer:
    for episode in episodes[:3]:
        writer.add_frames(episode)
    writer.close()
with resume(root, video) as writer:
    for episode in episodes[3:]:
        writer.add_frames(episode)
    print(writer.close())
"""


def test_two_processes_at_the_same_time_write_the_same_bytes(
    tmp_path: Path, cell: Embodiment, video: Video, make_episode: Callable[..., EpisodeFrames]
) -> None:
    episodes = [make_episode(seed, length=20 + seed) for seed in range(5)]
    roots = [tmp_path / "left", tmp_path / "right"]
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in roots
    ]
    # Both wait for their work until the other one is there, too.
    for child, root in zip(children, roots, strict=True):
        assert child.stdin is not None
        child.stdin.write(pickle.dumps((root, cell, video, episodes)))
        child.stdin.close()
        child.stdin = None
    digests = [child.communicate(timeout=120)[0].decode().strip() for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert tree_manifest(roots[0]) == tree_manifest(roots[1])
    dataset = Dataset.open(roots[0])
    dataset.verify()
    assert digests == [dataset.digest] * 2
    assert {path.name for path in tmp_path.iterdir()} == {"left", "right"}
