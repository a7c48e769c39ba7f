"""What the timestamps of an episode say: gaps, steps back, jitter, rates. Works on rows of streams.parquet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

StreamRow = Mapping[str, Any]

# Up to this std(dt) / median(dt) a stream ticks evenly.
_EVEN = 0.2


def number(row: StreamRow, name: str) -> float:
    """A field of a row; 0 where it is missing, null or not finite."""
    value = row.get(name)
    return float(value) if value is not None and math.isfinite(value) else 0.0


def dropped_share(rows: Sequence[StreamRow], nominal_hz: Mapping[str, float]) -> float:
    """Worst stream: share of the samples missing that its rate promises, or of the time in its longest gap.

    `nominal_hz`: stream name -> the rate it is known to have; its own median rate where it is not listed.
    """
    return max((_dropped(row, nominal_hz.get(row["stream"], 0.0)) for row in rows), default=0.0)


def _dropped(row: StreamRow, nominal_hz: float) -> float:
    count, rate_hz, duration_s = (number(row, name) for name in ("count", "rate_hz", "duration_s"))
    if rate_hz <= 0 or duration_s <= 0:
        # One sample, or samples of one instant: nothing can be told but that there is next to nothing.
        return 1.0 if count < 2 else 0.0
    if number(row, "jitter") > _EVEN:
        # Where much is lost, so is the median step; an even stream of another rate has lost nothing.
        rate_hz = max(rate_hz, nominal_hz)
    missing = 1.0 - count / (duration_s * rate_hz + 1.0)
    gap = (number(row, "max_gap_s") - 1.0 / rate_hz) / duration_s
    return min(1.0, max(0.0, missing, gap))


def backwards(rows: Sequence[StreamRow], time_s: npt.NDArray[np.float64]) -> int:
    """How often a clock steps back, in all streams and on the ticks."""
    return int(sum(number(row, "backwards") for row in rows)) + int((np.diff(time_s) < 0).sum())


def stopped(rows: Sequence[StreamRow], time_s: npt.NDArray[np.float64]) -> int:
    """How often two samples in a row carry one time, in all streams and on the ticks."""
    return int(sum(number(row, "duplicates") for row in rows)) + int((np.diff(time_s) == 0).sum())


def jitter(rows: Sequence[StreamRow]) -> float:
    """Worst stream: std(dt) / median(dt)."""
    return max((number(row, "jitter") for row in rows), default=0.0)


def longest_gap_s(rows: Sequence[StreamRow]) -> float:
    return max((number(row, "max_gap_s") for row in rows), default=0.0)


def action_rate_hz(rows: Sequence[StreamRow], time_s: npt.NDArray[np.float64]) -> float:
    """Median rate of the commands; of the ticks where no action stream is listed; 0 where no time passes."""
    rates = [number(row, "rate_hz") for row in rows if row.get("kind") == "action"]
    return min(rates) if rates else tick_rate_hz(time_s)


def tick_rate_hz(time_s: npt.NDArray[np.float64]) -> float:
    gaps = np.diff(time_s)
    gaps = gaps[np.isfinite(gaps)]
    step = float(np.median(gaps)) if len(gaps) else 0.0
    return 1.0 / step if step > 1e-9 else 0.0


def rate_error(rate_hz: float, expected_hz: float) -> float:
    """Relative distance of a rate from the expected one; 1 where there is no rate."""
    return abs(rate_hz / expected_hz - 1.0)


def misalignment_ms(rows: Sequence[StreamRow]) -> float:
    """Worst distance in time between a tick and what was used for it.

    A measured value is held until the next one, so for a state stream the first period is no misalignment.
    """
    return max((_misalignment(row) for row in rows), default=0.0)


def _misalignment(row: StreamRow) -> float:
    worst_ms, rate_hz = number(row, "worst_misalignment_ms"), number(row, "rate_hz")
    held_ms = 1000.0 / rate_hz if row.get("kind") in ("state", "force") and rate_hz > 0 else 0.0
    return max(0.0, worst_ms - held_ms)
