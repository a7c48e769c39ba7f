"""Small episodes and trees of them."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from components.core.params import Video
from components.core.spec import SAWYER_CELL, Embodiment
from components.dataset.frames import ROW_COLUMNS, EpisodeFrames
from components.dataset.writer import DatasetWriter

FPS = 20
SMALL_CELL = replace(SAWYER_CELL, observation=replace(SAWYER_CELL.observation, image_px=32))
VIDEO = Video(codec="h264", crf=12, gop=10, pix_fmt="yuv444p")


def moving_frames(length: int, seed: int, size_px: int = 32) -> npt.NDArray[np.uint8]:
    """A coloured block that moves over a smooth background with a little noise: uint8 [length, size, size, 3]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size_px, :size_px] / size_px
    ground = np.stack([90 + 80 * x, 120 + 60 * y, 140 - 50 * x * y], axis=-1)
    frames = np.repeat(ground[None], length, axis=0)
    colour = rng.integers(0, 255, 3)
    for tick in range(length):
        left = int((size_px - 8) * (0.5 + 0.5 * np.sin(tick / 7 + seed)))
        frames[tick, 8:16, left : left + 8] = colour
    return np.clip(frames + rng.normal(0, 1.5, frames.shape), 0, 255).astype(np.uint8)


def make_episode(seed: int, length: int = 23, embodiment: Embodiment = SMALL_CELL, **changes: Any) -> EpisodeFrames:
    rng = np.random.default_rng(seed)
    images = {
        camera: moving_frames(length, 10 * seed + index, embodiment.observation.image_px)
        for index, camera in enumerate(embodiment.observation.cameras)
    }
    row = dict.fromkeys(ROW_COLUMNS, "") | {
        "source_uri": f"site-north/{seed}.mcap",
        "robot_id": f"cell-{seed % 3}",
        "embodiment": embodiment.name,
    }
    stream = {"stream": "hand", "kind": "state", "count": length, "rate_hz": 100.0, "duration_s": length / FPS}
    stream |= {"start_offset_s": 0.0, "backwards": 0, "duplicates": 0, "jitter": 0.01, "max_gap_s": 0.02, "gaps": 0}
    values: dict[str, Any] = {
        "episode_id": hashlib.sha256(f"episode {seed}".encode()).hexdigest(),
        "task": f"task-{seed % 2}",
        "instruction": ("pull the drawer open", "press the button")[seed % 2],
        "images": images,
        "state": rng.normal(size=(length, 4)).astype(np.float32),
        "action": rng.uniform(-1, 1, size=(length, 4)).astype(np.float32),
        "time_s": np.arange(length) / FPS + rng.uniform(0, 1e-3, length),
        "extras": {"observation.joints": rng.normal(size=(length, 7)).astype(np.float32)},
        "row": row,
        "streams": [{**stream, "nan_count": 0, "worst_misalignment_ms": None}],
    }
    return EpisodeFrames(**(values | changes))


def write_tree(root: Path, episodes: Sequence[EpisodeFrames], **limits: float) -> str:
    with DatasetWriter(root, SMALL_CELL, FPS, VIDEO, **limits) as writer:
        for episode in episodes:
            writer.add_frames(episode)
        return writer.close(splits_of(episodes))


def splits_of(episodes: Sequence[EpisodeFrames]) -> dict[str, str]:
    """The side of each episode: that of seed 4 is held out."""
    return {e.episode_id: "val" if e.row["source_uri"].endswith("/4.mcap") else "train" for e in episodes}


@pytest.fixture(scope="session")
def cell() -> Embodiment:
    """The embodiment of the trees here: the cell with 32 px cameras."""
    return SMALL_CELL


@pytest.fixture(scope="session")
def video() -> Video:
    return VIDEO


@pytest.fixture(scope="session", name="moving_frames")
def moving_frames_fixture() -> Callable[..., npt.NDArray[np.uint8]]:
    return moving_frames


@pytest.fixture(scope="session", name="make_episode")
def make_episode_fixture() -> Callable[..., EpisodeFrames]:
    """`make_episode(seed, length=23, **changes)`."""
    return make_episode


@pytest.fixture(scope="session", name="write_tree")
def write_tree_fixture() -> Callable[..., str]:
    """`write_tree(root, episodes, **limits)` returns the digest."""
    return write_tree


@pytest.fixture(scope="session", name="splits_of")
def splits_of_fixture() -> Callable[[Sequence[EpisodeFrames]], dict[str, str]]:
    """`splits_of(episodes)`: what `write_tree` gives to `close`."""
    return splits_of


@pytest.fixture(scope="session")
def episodes() -> list[EpisodeFrames]:
    """Five episodes of different lengths."""
    return [make_episode(seed, length=15 + 4 * seed) for seed in range(5)]


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory, episodes: list[EpisodeFrames]) -> Path:
    """A dataset of `episodes`; tests only read it."""
    root = tmp_path_factory.mktemp("dataset") / "tree"
    write_tree(root, episodes)
    return root


@pytest.fixture
def own_tree(tree: Path, tmp_path: Path) -> Path:
    """A copy of `tree` to break."""
    return Path(shutil.copytree(tree, tmp_path / "tree"))
