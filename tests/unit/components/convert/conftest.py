"""A small dataset of a robot with depth, kept joints and a calibration, converted once into each format."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.convert.convert import FORMATS, convert
from components.core.files import digest_json
from components.core.params import Ingest, Video
from components.core.spec import SAWYER_CELL, Embodiment
from components.dataset.frames import ROW_COLUMNS, EpisodeFrames
from components.dataset.parts import parts_of
from components.dataset.writer import DatasetWriter

FPS = 20
CELL = replace(SAWYER_CELL, observation=replace(SAWYER_CELL.observation, image_px=32, depth=("front",)))
VIDEO = Video(codec="h264", crf=12, gop=10, pix_fmt="yuv420p")
CALIBRATION = {"fixed": {"k": [1.0, 0.0, 16.0], "frame_id": "camera_fixed"}}


def make_episode(seed: int, **changes: Any) -> EpisodeFrames:
    rng, length = np.random.default_rng(seed), 7 + 2 * seed
    images = {camera: rng.integers(0, 255, (length, 32, 32, 3)).astype(np.uint8) for camera in CELL.observation.cameras}
    # A camera that sees nothing is one all the same.
    images["wrist"][:] = 0
    values: dict[str, Any] = {
        "episode_id": f"{seed:x}" * 64,
        "task": "drawer-open",
        "instruction": f" pull the drawer öpen, {seed} ",
        "images": images,
        "depth": {"front": rng.integers(0, 60000, (length, 24, 32)).astype(np.uint16)},
        "state": rng.normal(size=(length, 4)).astype(np.float32),
        "action": rng.uniform(-1, 1, (length, 4)).astype(np.float32),
        "time_s": np.rint((0.0123 + np.arange(length) / FPS) * 1e9) / 1e9,
        "row": dict.fromkeys(ROW_COLUMNS, "")
        | {
            "source_uri": f"site/{seed}.mcap",
            "source_sha256": f"{seed}" * 64,
            "source_format": "mcap",
            "robot_id": f"cell-{seed}",
            "embodiment": CELL.name,
            "collector_id": "ann",
            "site": "north",
            "recorded_at": "2026-03-04T05:06:07+01:00",
            "licence": "CC-BY-4.0",
            "consent_ref": "form-7",
            "outcome": "success" if seed % 2 else "unknown",
            "calibration_digest": digest_json(CALIBRATION),
        },
        "extras": {
            "observation.joints": rng.normal(size=(length, 7)).astype(np.float32),
            "control_source": (np.arange(length) % 4)[:, None],
        },
        "calibration": CALIBRATION,
    }
    return EpisodeFrames(**(values | changes))


def write_tree(root: Path, episodes: Sequence[EpisodeFrames], embodiment: Embodiment = CELL) -> Path:
    with DatasetWriter(root, embodiment, FPS, VIDEO) as writer:
        for episode in episodes:
            writer.add_frames(episode)
        writer.close({e.episode_id: "train" if n else "val" for n, e in enumerate(episodes)})
    return root


@pytest.fixture(scope="session", name="make_episode")
def make_episode_fixture() -> Callable[..., EpisodeFrames]:
    """`make_episode(seed, **changes)`."""
    return make_episode


@pytest.fixture(scope="session", name="write_tree")
def write_tree_fixture() -> Callable[..., Path]:
    """`write_tree(root, episodes, embodiment=CELL)`; the first episode is held out."""
    return write_tree


@pytest.fixture(scope="session")
def cell() -> Embodiment:
    return CELL


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three episodes; tests only read it."""
    return write_tree(tmp_path_factory.mktemp("convert") / "tree", [make_episode(seed) for seed in range(3)])


@pytest.fixture(scope="session")
def converted(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`tree` in each format; tests only read them."""
    folder = tmp_path_factory.mktemp("converted")
    for to in FORMATS:
        convert(parts_of(tree), folder / to, to)
    return {to: folder / to for to in FORMATS}


@pytest.fixture(scope="session")
def params() -> Ingest:
    """Of an ingest that takes the files in again."""
    video = {"codec": "h264", "crf": 12, "gop": 2, "pix_fmt": "yuv420p"}
    return Ingest.model_validate(
        {
            "embodiment": CELL.name,
            "fps": FPS,
            "video": video,
            "max_misalignment_ms": 25.0,
            "val_share": 0.3,
            "split_seed": 1,
        }
    )


@pytest.fixture
def own_copy(converted: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """`own_copy(to)`: a copy of the files of a format, to break."""
    return lambda to: Path(shutil.copytree(converted[to], tmp_path / to))
