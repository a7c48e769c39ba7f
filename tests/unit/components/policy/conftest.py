from __future__ import annotations

import pytest
import torch

from components.core.spec import SAWYER_CELL
from components.policy.presets import PolicyConfig
from components.transforms.chain import PolicyTransforms

INSTRUCTIONS = ["open the drawer", "turn the faucet on", "turn the faucet off"]


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def transforms():
    return PolicyTransforms.fit(SAWYER_CELL, [0.0, 0.6, 0.2, 0.5], [0.1, 0.1, 0.1, 0.3], INSTRUCTIONS, text_len=6)


@pytest.fixture
def config(transforms):
    return PolicyConfig("gripline-tiny", SAWYER_CELL, transforms.vocab_size, transforms.text_len, chunk=8)


@pytest.fixture
def observations(transforms):
    """Three observations, one an instruction."""
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (3, 2, 96, 96, 3), generator=generator, dtype=torch.uint8)
    state = torch.randn(3, 4, generator=generator)
    return images, state, torch.from_numpy(transforms.tokens.apply(INSTRUCTIONS))
