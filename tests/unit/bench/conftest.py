"""Small recordings of the cell, on one clock or with every stream on its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from components.core.episode import Episode, Provenance, Stream
from components.core.spec import SAWYER_CELL

_START_NS = 1_767_600_000_000_000_000
_RATES = {"fixed": 30.0, "wrist": 30.0, "joints": 100.0, "hand": 100.0, "gripper": 10.0, "action": 20.0}
_WIDTHS = {"joints": 7, "hand": 3, "gripper": 1, "action": 4}


def _episode(*, shared_clock: bool, task: str = "drawer-open", number: int = 0, steps: int = 40) -> Episode:
    """A hand that moves 0.3 m in `steps` ticks; pictures with texture, each brighter than the one before."""
    rng = np.random.default_rng([number, steps, len(task)])
    texture = rng.integers(0, 100, (32, 32, 3))

    def stream(name: str, rate: str) -> Stream:
        period = 50_000_000 if shared_clock else round(1e9 / _RATES[rate])
        phase = 0 if shared_clock else 1_000_000 * (1 + list(_RATES).index(rate))
        time = _START_NS + np.arange(phase, steps * 50_000_000, period, dtype=np.int64)
        if rate in ("fixed", "wrist"):
            dark = 40 if rate == "wrist" else 0
            return Stream(name, "image", time, [(texture + n + dark).astype(np.uint8) for n in range(len(time))])
        values = np.linspace(0.1, 0.3, len(time))[:, None] + rng.normal(0, 0.002, (len(time), _WIDTHS[rate]))
        names = SAWYER_CELL.action.names if rate == "action" else ()
        return Stream(name, "action" if rate == "action" else "state", time, values, names)

    streams = {name: stream(name, name) for name in _RATES}
    streams["action_executed"] = stream("action_executed", "action")
    source = Provenance(
        source_uri=f"site/{task}-{number}.mcap",
        source_sha256="",
        source_format="mcap",
        robot_id="cell-1",
        recorded_at=f"2026-01-05T08:{number:02d}:00Z",
        licence="CC-BY-4.0",
        consent_ref="consent/collector-a",
    )
    return Episode(task, f"do {task}", "sawyer-cell", streams, source, 20.0)


@pytest.fixture(scope="session")
def make_episode() -> Callable[..., Episode]:
    return _episode


@pytest.fixture(params=[True, False], ids=["one clock", "own clocks"])
def episode(request: pytest.FixtureRequest, make_episode: Callable[..., Episode]) -> Episode:
    return make_episode(shared_clock=request.param)


@pytest.fixture
def others(make_episode: Callable[..., Episode]) -> list[Episode]:
    return [make_episode(shared_clock=True, task=task, number=1, steps=30) for task in ("faucet-open", "handle-pull")]
