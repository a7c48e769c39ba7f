"""Small recordings: made by hand for the writers and the faults, by the simulator where that is the point."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from components.core.episode import Episode, Provenance, Stream
from components.core.params import Raw, load_params
from components.record import recorder
from components.record.demonstrate import Studio
from components.record.sensors import ACTION_NAMES, JOINT_NAMES

MakeEpisode = Callable[..., Episode]

_START_NS = 1_767_600_000_000_000_000


def _episode(*, shared_clock: bool, steps: int = 20, task: str = "drawer-open") -> Episode:
    """Smooth signals; each stream at its own rate and phase unless `shared_clock`."""
    rng = np.random.default_rng(steps)
    duration = steps * 50_000_000

    def clock(rate_hz: float, phase_ns: int) -> np.ndarray:
        period = 50_000_000 if shared_clock else round(1e9 / rate_hz)
        phase = 0 if shared_clock else phase_ns
        return _START_NS + np.arange(phase, duration, period, dtype=np.int64)

    def numeric(name: str, kind: str, rate_hz: float, phase_ns: int, names: tuple[str, ...]) -> Stream:
        time = clock(rate_hz, phase_ns)
        values = 0.5 + np.cumsum(rng.normal(0, 0.002, (len(time), len(names))), axis=0)
        return Stream(name, kind, time, values, names)  # type: ignore[arg-type]

    def film(name: str, phase_ns: int) -> Stream:
        time = clock(30.0, phase_ns)
        # Smooth images survive JPEG; the brightness tells which frame it is.
        shade = np.add.outer(np.arange(96), np.arange(96)).astype(np.uint8)[..., None]
        return Stream(name, "image", time, [np.repeat(shade // 2 + n, 3, axis=2) for n in range(len(time))])

    streams = [
        film("fixed", 1_000_000),
        film("wrist", 9_000_000),
        numeric("joints", "state", 100.0, 2_000_000, JOINT_NAMES),
        numeric("hand", "state", 100.0, 3_000_000, ("hand_x", "hand_y", "hand_z")),
        numeric("hand_orientation", "state", 100.0, 3_000_000, ("x", "y", "z", "w")),
        numeric("gripper", "state", 10.0, 4_000_000, ("gripper_opening",)),
        numeric("action", "action", 20.0, 5_000_000, ACTION_NAMES),
        numeric("action_executed", "action", 20.0, 5_000_000, ACTION_NAMES),
    ]
    provenance = Provenance(
        source_uri="",
        source_sha256="",
        source_format="",
        robot_id="cell-1",
        collector_id="collector-a",
        site="site-north",
        recorded_at="2026-01-05T08:00:00Z",
        licence="CC-BY-4.0",
        consent_ref="consent/collector-a",
        calibration_digest="c0ffee",
        outcome="success",
    )
    by_name = {stream.name: stream for stream in streams}
    return Episode(task, "open the drawer", "sawyer-cell", by_name, provenance, 20.0)


@pytest.fixture(scope="session")
def make_episode() -> MakeEpisode:
    return _episode


@pytest.fixture(scope="session")
def raw(project: Path) -> Raw:
    """One task, two episodes, no faults; everything else as shipped."""
    shipped = load_params(project / "params.yaml").raw
    return shipped.model_copy(update={"tasks": ("faucet-open",), "episodes_per_task": 2, "planted_faults": 0})


@pytest.fixture(scope="session")
def studio() -> Iterator[Studio]:
    with Studio() as opened:
        yield opened


@pytest.fixture
def in_process(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records in this process, in cells that are open already."""
    monkeypatch.setenv("GRIPLINE_WORKERS", "1")
    monkeypatch.setattr(recorder, "Studio", lambda: nullcontext(studio))
