"""An episode of a minute with all kinds of streams, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from components.core.episode import Episode, Provenance, Stream

ORIGIN_NS = 1_700_000_000_000_000_000


class CountingFrames(Sequence[Any]):
    """Frames that remember which of them were read."""

    def __init__(self, count: int) -> None:
        self.length = count
        self.read: list[int] = []

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: Any) -> Any:
        self.read.append(index)
        return f"frame {index}".encode()


def times(count: int, rate_hz: float, *, late_ns: int = 0) -> Any:
    return ORIGIN_NS + late_ns + np.arange(count, dtype=np.int64) * round(1e9 / rate_hz)


@pytest.fixture
def frames() -> CountingFrames:
    return CountingFrames(600)


@pytest.fixture
def episode(frames: CountingFrames) -> Episode:
    """60 s: actions at 20 Hz, joints at 50 Hz that are 3 ms late, a camera at 10 Hz that is 7 ms late."""
    streams = {
        "action": Stream("action", "action", times(1200, 20), np.arange(2400.0).reshape(1200, 2)),
        "joints": Stream("joints", "state", times(3000, 50, late_ns=3_000_000), np.arange(3000.0)[:, None]),
        "camera": Stream("camera", "image", times(600, 10, late_ns=7_000_000), frames),
    }
    return Episode(
        task="sort",
        instruction="sort the cups",
        embodiment="",
        streams=streams,
        provenance=Provenance("shift.mcap", "00", "mcap", outcome="unknown"),
        rate_hz=20.0,
        carried_id="of the whole",
    )
