"""Faults as the tests apply them, and what they changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from checkbench.faults import FAULTS
from checkbench.parts import NUMERIC, numbers

from components.core.episode import Episode
from components.core.spec import SAWYER_CELL
from components.ingest.canonical import to_frames

EVERY = pytest.mark.parametrize("strength", range(3))
SEEDS = range(8)
CAMERAS = {"fixed", "wrist"}
ALL = {*CAMERAS, *NUMERIC, "action_executed"}
Make = Callable[..., Episode]


def faulty(code: str, episode: Episode, strength: int, others: list[Episode] | None = None, seed: int = 3) -> Episode:
    return FAULTS[code](episode, strength, np.random.default_rng(seed), others or [])


def as_text(value: Any) -> str:
    return hashlib.sha256(value.tobytes() if isinstance(value, np.ndarray) else value).hexdigest()


def contents(episode: Episode) -> dict[str, list[str]]:
    return {
        name: [as_text(stream.time_ns), *(as_text(value) for value in stream.values)]
        for name, stream in episode.streams.items()
    }


def changed(before: Episode, after: Episode) -> set[str]:
    old, new = contents(before), contents(after)
    return {name for name in old if old[name] != new.get(name)}


def said(episode: Episode) -> dict[str, str]:
    return {**asdict(episode.provenance), "instruction": episode.instruction, "carried_id": episode.carried_id}


def ticks(episode: Episode) -> int:
    return len(to_frames(episode, SAWYER_CELL, fps=20, max_misalignment_ms=25.0))


def of_changed(before: Episode, after: Episode) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Values of the one stream of numbers that differs, before and after."""
    (name,) = changed(before, after)
    return numbers(before, name), numbers(after, name)
