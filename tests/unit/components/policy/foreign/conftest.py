"""An ACT of LeRobot's that was never trained: a folder as 0.4.4 writes it, and one of ours for the same robot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from components.core.spec import SAWYER_CELL
from components.policy.checkpoint import load_policy, save_policy
from components.policy.foreign.exporting import export
from components.policy.presets import PolicyConfig
from components.transforms.chain import PolicyTransforms
from components.transforms.steps import Normalise, WordTokens

CHUNK = 6


@pytest.fixture
def tokens() -> WordTokens:
    return WordTokens((), 16, wordless=True)


@pytest.fixture
def ours(tmp_path: Path, tokens: WordTokens) -> Path:
    torch.manual_seed(3)
    config = PolicyConfig("act-small", SAWYER_CELL, tokens.vocab_size, tokens.length, CHUNK)
    state = Normalise((0.5, -0.25, 0.0, 1.0), (0.25, 0.5, 1.0, 2.0))
    save_policy(tmp_path / "ours", config.build(), config, PolicyTransforms(SAWYER_CELL, state, tokens))
    return tmp_path / "ours"


@pytest.fixture
def theirs(ours: Path, tmp_path: Path) -> Path:
    export(ours, "lerobot", tmp_path / "theirs")
    return tmp_path / "theirs"


@pytest.fixture
def policy(ours: Path) -> nn.Module:
    return load_policy(ours)[0]


@pytest.fixture
def observation() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images, normalised state, no words; two of each."""
    rng = np.random.default_rng(5)
    images = torch.from_numpy(rng.integers(0, 256, (2, 2, 96, 96, 3), dtype=np.uint8))
    return images, torch.from_numpy(rng.normal(size=(2, 4)).astype(np.float32)), torch.zeros(2, 16, dtype=torch.int64)
