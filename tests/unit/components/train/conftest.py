"""A world small enough to learn in seconds: a block in the image says where to go, the state says nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from components.core.params import Params, Train, Video, load_params
from components.core.spec import SAWYER_CELL
from components.dataset.frames import ROW_COLUMNS, EpisodeFrames
from components.dataset.loading.loader import Loader
from components.dataset.parts import Part, part_of
from components.dataset.reader import Dataset
from components.dataset.writer import DatasetWriter
from components.train.inputs import EPISODE_COLUMNS, Inputs
from components.train.sides import Side, make_side
from components.transforms.chain import PolicyTransforms

PX = 32
LENGTH = 10
EMBODIMENT = replace(SAWYER_CELL, observation=replace(SAWYER_CELL.observation, image_px=PX))
INSTRUCTIONS = ("press the button", "pull the drawer open")
VIDEO = Video(codec="h264", crf=8, gop=5, pix_fmt="yuv444p")


def make_episode(rng: np.random.Generator, name: str, number: int) -> EpisodeFrames:
    """Action = the block's place, in [-1, 1], minus that for the second instruction."""
    place = rng.uniform(-0.8, 0.8, size=2)
    left, top = (int((value + 1) / 2 * (PX - 8)) for value in place)
    images = np.full((LENGTH, PX, PX, 3), 60, np.uint8)
    images[:, top : top + 8, left : left + 8] = (240, 40, 40)
    told = number % 2
    action = np.zeros((LENGTH, 4), np.float32)
    action[:, :2] = -place if told else place
    row = dict.fromkeys(ROW_COLUMNS, "") | {"embodiment": EMBODIMENT.name, "source_uri": f"{name}.mcap"}
    episode_id, state = hashlib.sha256(name.encode()).hexdigest(), rng.normal(size=(LENGTH, 4)).astype(np.float32)
    seen = dict.fromkeys(EMBODIMENT.observation.cameras, images)
    return EpisodeFrames(
        episode_id, "task", INSTRUCTIONS[told], seen, state, action, np.arange(LENGTH) / 20, row
    )  # fmt: skip


def write_world(root: Path, seed: int, episodes: int) -> None:
    rng = np.random.default_rng(seed)
    with DatasetWriter(root, EMBODIMENT, 20, VIDEO) as writer:
        for number in range(episodes):
            writer.add_frames(make_episode(rng, f"{seed}-{number}", number))
        writer.close()


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def all_params(project: Path) -> Params:
    return load_params(project / "params.yaml")


@pytest.fixture(scope="session")
def params(all_params: Params) -> Train:
    loader = all_params.train.loader.model_copy(update={"run_frames": 2, "pool_windows": 240})
    small = {"chunk": 4, "batch_size": 16, "warmup_steps": 5, "steps": 6, "loader": loader}
    small |= {"blind_steps": 6, "wordless_steps": 6}
    return all_params.train.model_copy(update=small)


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """24 episodes to train on and 6 held out, their frames in a cache."""
    root = tmp_path_factory.mktemp("world")
    sides = []
    for seed, episodes in ((1, 24), (2, 6)):
        write_world(root / str(seed), seed, episodes)
        part = part_of(Dataset.open(root / str(seed)))
        sides.append(make_side((part,), root / "cache", limit_bytes=1 << 30, epochs=50))
    assert {side.choice.kind for side in sides} == {"cache"}
    transforms = PolicyTransforms.fit(EMBODIMENT, np.zeros(4), np.ones(4), INSTRUCTIONS, text_len=6)
    digests = {"dataset": "d" * 64, "verdicts": "e" * 64}
    return Inputs(*sides, transforms, sides[0].table(EPISODE_COLUMNS), digests)


@pytest.fixture(scope="session")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Part:
    """Three episodes of another robot: one camera, 3 states, 3 actions."""
    seen, moves = EMBODIMENT.observation, EMBODIMENT.action
    body = replace(
        EMBODIMENT,
        name="narrow",
        observation=replace(seen, cameras=("wrist",), state=seen.state[:1]),
        action=replace(moves, groups=moves.groups[:1]),
    )
    root, rng = tmp_path_factory.mktemp("narrow") / "dataset", np.random.default_rng(5)
    with DatasetWriter(root, body, 20, VIDEO) as writer:
        for number in range(3):
            one = make_episode(rng, f"narrow-{number}", number)
            images, row = {"wrist": one.images["wrist"]}, one.row | {"embodiment": body.name}
            state, action = one.state[:, :3], one.action[:, :3]
            writer.add_frames(replace(one, images=images, state=state, action=action, row=row))
        writer.close()
    return part_of(Dataset.open(root))


@pytest.fixture
def opened(params: Train) -> Iterator[Callable[..., Loader]]:
    """`opened(side, seed=0, shuffle=True)`: a loader that is closed in the end."""
    with ExitStack() as stack:

        def open_side(side: Side, **how: int | bool) -> Loader:
            return stack.enter_context(side.loader(params, **how))

        yield open_side
