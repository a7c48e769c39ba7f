"""What every numeric channel of an episode does by itself: where it is, how it moves, how long it stands still."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def bad_numbers(values: Floats) -> int:
    """How many values are NaN or infinite."""
    return int(values.size - np.count_nonzero(np.isfinite(values)))


def mended(values: Floats) -> Floats:
    """`values` [T, C] with what is not finite replaced by the last finite number of its channel, or the first to come.

    So that a NaN, which is counted, hides no other fault. A channel without any finite number becomes 0.
    """
    finite = np.isfinite(values)
    if finite.all():
        return values
    rows = np.arange(len(values))[:, None]
    last = np.maximum.accumulate(np.where(finite, rows, -1), axis=0)
    first = np.argmax(finite, axis=0)
    filled = np.take_along_axis(values, np.where(last < 0, first, last), axis=0)
    return np.where(np.isfinite(filled), filled, 0.0)


def vectors(values: Floats, steps: Floats) -> Mapping[str, Floats]:
    """Per channel [C], of finite `values` [T, C] and their `steps` [T - 1, C]."""
    sizes = np.abs(steps)
    return {
        "mean": values.mean(axis=0),
        "std": values.std(axis=0),
        "low": values.min(axis=0),
        "high": values.max(axis=0),
        "start": values[0],
        "stuck_share": longest_run(sizes == 0.0) / max(1, len(sizes)),
    }


def group_steps(steps: Floats, groups: Sequence[Sequence[int]]) -> Mapping[str, Floats]:
    """Per group of channels [G]: the longest step in a tick, and the third longest; Euclidean."""
    found = [np.sort(np.sqrt((steps[:, list(group)] ** 2).sum(axis=1)))[::-1] for group in groups]
    return {
        "step_max": np.array([lengths[0] if len(lengths) else 0.0 for lengths in found], np.float64),
        "step_third": np.array([lengths[2] if len(lengths) > 2 else 0.0 for lengths in found], np.float64),
    }


def longest_run(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Along the first axis of [N, ...]: the most True in a row."""
    if not len(flags):
        return np.zeros(flags.shape[1:], np.int64)
    seen = np.cumsum(flags, axis=0)
    run: npt.NDArray[np.int64] = (seen - np.maximum.accumulate(np.where(flags, 0, seen), axis=0)).max(axis=0)
    return run


def share_outside(values: Floats, low: Floats, high: Floats) -> float:
    """Share of the rows of [T, C] with a component outside [low, high]; float32 rounding is forgiven."""
    finite = np.maximum(np.where(np.isfinite(low), np.abs(low), 0.0), np.where(np.isfinite(high), np.abs(high), 0.0))
    slack = 1e-5 * finite
    return float(((values < low - slack) | (values > high + slack)).any(axis=1).mean()) if len(values) else 0.0


def motion_sha256(values: Floats) -> str:
    """One hash for what was commanded and measured, whatever the pictures went through."""
    return hashlib.sha256(f"{values.shape}".encode() + np.ascontiguousarray(values, dtype="<f4").tobytes()).hexdigest()
