"""A policy of a few operators, exported once, on a cell with small cameras. The real one is exported in tests/func."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from components.bundle.contract import Contract
from components.core.records import Record
from components.core.spec import SAWYER_CELL, Embodiment
from components.export.module import bundle_module
from components.export.observations import Observations
from components.transforms.chain import PolicyTransforms

CHUNK, TEXT = 8, 6
INSTRUCTIONS = ("open the drawer", "press the button")
SMALL_CELL = replace(SAWYER_CELL, observation=replace(SAWYER_CELL.observation, image_px=32))


def make_observations(count: int, px: int = 32) -> Observations:
    rng = np.random.default_rng(count)
    return Observations(
        {camera: rng.integers(0, 256, (count, px, px, 3), dtype=np.uint8) for camera in ("fixed", "wrist")},
        rng.normal(0.3, 0.1, (count, 4)).astype(np.float32),
        tuple(INSTRUCTIONS[index % 2] for index in range(count)),
    )


class Plain(torch.nn.Module):
    """The smallest thing with the signature of a policy; without `looks` it never uses its images."""

    def __init__(self, vocab_size: int, *, looks: bool) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.looks = looks
        self.words = torch.nn.Parameter(torch.randn(vocab_size, 4, generator=generator))
        self.weight = torch.nn.Parameter(torch.randn(4, CHUNK * 4, generator=generator) * 0.1)
        self.dropout = torch.nn.Dropout(0.9)

    def forward(self, images: torch.Tensor, state: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        seen = self.dropout(state + self.words[tokens].sum(dim=1))
        if self.looks:
            seen = seen + (images.to(torch.float32) / 255.0 - 0.5).mean(dim=(1, 2, 3))[:, :1]
        return (seen @ self.weight).unflatten(1, (CHUNK, 4))


@pytest.fixture(scope="session")
def small_cell() -> Embodiment:
    return SMALL_CELL


@pytest.fixture(scope="session")
def contract() -> Contract:
    return Contract(SMALL_CELL, CHUNK, 4, "chunk_regression", "gripline-tiny", 20, TEXT)


@pytest.fixture(scope="session")
def transforms() -> PolicyTransforms:
    return PolicyTransforms.fit(SMALL_CELL, [0.0, 0.6, 0.2, 0.5], [0.1] * 4, INSTRUCTIONS, TEXT)


@pytest.fixture(scope="session")
def policy(transforms: PolicyTransforms) -> torch.nn.Module:
    return Plain(transforms.vocab_size, looks=True).eval()


@pytest.fixture
def blind_policy(transforms: PolicyTransforms) -> torch.nn.Module:
    """In training mode, as a trainer would hand it over."""
    return Plain(transforms.vocab_size, looks=False).train()


@pytest.fixture(scope="session")
def observe() -> Callable[..., Observations]:
    return make_observations


@pytest.fixture(scope="session")
def exported(
    tmp_path_factory: pytest.TempPathFactory,
    policy: torch.nn.Module,
    transforms: PolicyTransforms,
    contract: Contract,
) -> Path:
    """A sealed bundle; read it, never write to it."""
    folder = tmp_path_factory.mktemp("exported") / "seed-1"
    record = Record("bundle", "", {"checkpoint": "c" * 64}, {"opset": 20}, attrs={"blind": False})
    observations = make_observations(7)
    bundle_module(policy, transforms, folder, contract=contract, observations=observations, record=record, limit=1e-4)
    return folder
