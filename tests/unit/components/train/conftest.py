"""A world small enough to learn in seconds: a block in the image says where to go, the state says nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from components.core.params import Train, load_params
from components.core.spec import SAWYER_CELL
from components.dataset.loader import WindowStore
from components.train.inputs import EPISODE_COLUMNS, Inputs
from components.transforms.chain import PolicyTransforms

PX = 32
LENGTH = 10
EMBODIMENT = replace(SAWYER_CELL, observation=replace(SAWYER_CELL.observation, image_px=PX))
INSTRUCTIONS = ("press the button", "pull the drawer open")


def make_store(seed: int, episodes: int, chunk: int = 4) -> WindowStore:
    """Windows of `episodes` episodes; action = the block's place, in [-1, 1], minus that for the second instruction."""
    rng = np.random.default_rng(seed)
    frames = episodes * LENGTH
    places = rng.uniform(-0.8, 0.8, size=(episodes, 2)).repeat(LENGTH, axis=0)
    images = np.full((frames, 2, PX, PX, 3), 60, np.uint8)
    for frame, (x, y) in enumerate(places):
        left, top = (int((value + 1) / 2 * (PX - 8)) for value in (x, y))
        images[frame, :, top : top + 8, left : left + 8] = (240, 40, 40)
    told = np.arange(episodes) % 2
    sign = np.where(told.repeat(LENGTH) == 0, 1.0, -1.0)
    action = np.concatenate([places * sign[:, None], np.zeros((frames, 2))], axis=1).astype(np.float32)
    state = rng.normal(size=(frames, 4)).astype(np.float32)
    table = pd.DataFrame({column: [f"{column}-{row}" for row in range(episodes)] for column in EPISODE_COLUMNS})
    table["episode_id"] = [hashlib.sha256(f"{seed} {row}".encode()).hexdigest() for row in range(episodes)]
    table["length"] = LENGTH
    table["instruction"] = [INSTRUCTIONS[number] for number in told]
    return WindowStore(images, state, action, table, chunk)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def params(project: Path) -> Train:
    values = load_params(project / "params.yaml").train
    return values.model_copy(update={"chunk": 4, "batch_size": 16, "warmup_steps": 5, "steps": 6, "blind_steps": 6})


@pytest.fixture(scope="session")
def inputs() -> Inputs:
    train, val = make_store(1, episodes=24), make_store(2, episodes=6)
    transforms = PolicyTransforms.fit(EMBODIMENT, np.zeros(4), np.ones(4), train.instructions, text_len=6)
    digests = {"dataset": "d" * 64, "verdicts": "e" * 64}
    return Inputs(train, val, transforms, train.episodes[list(EPISODE_COLUMNS)], digests)


@pytest.fixture
def store_of() -> Callable[..., WindowStore]:
    return make_store
