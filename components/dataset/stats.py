"""Statistics of an episode and how they add up to those of the dataset.

Merging reads no frames: count, min, max, mean and std come out as if all rows had been seen at once, and in any order
with the same bits, because sums are kept as exact fractions. Quantiles do not merge; like LeRobot, the dataset's are
the mean of the episodes' quantiles weighted by count.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
STAT_NAMES = ("min", "max", "mean", "std", "count", *QUANTILES)

# min, max, mean, std, q*: float64 (min and max int64 for whole numbers) of the feature's shape; count: int64 [1].
FeatureStats = dict[str, npt.NDArray[Any]]

# Anything larger is a broken reading: its square would overflow.
_LARGEST = 1e150


def numeric_stats(values: npt.NDArray[Any]) -> FeatureStats:
    """Statistics of [T] or [T, D] over the rows without NaN or infinity; `count` says how many. Zeros where none."""
    rows = values.reshape(len(values), -1)
    whole = rows.dtype.kind in "iu"
    rows = rows if whole else rows.astype(np.float64)
    if not whole:
        # NaN compares as false.
        rows = rows[(np.abs(rows) < _LARGEST).all(axis=1)]
    if not len(rows):
        zero = np.zeros(rows.shape[1])
        return {name: zero.copy() for name in STAT_NAMES if name != "count"} | {"count": np.array([0])}
    quantiles = np.quantile(rows, list(QUANTILES.values()), axis=0)
    return {
        "min": rows.min(axis=0),
        "max": rows.max(axis=0),
        "mean": rows.mean(axis=0),
        "std": rows.std(axis=0),
        "count": np.array([len(rows)]),
        **dict(zip(QUANTILES, quantiles, strict=True)),
    }


def image_stats(frames: npt.NDArray[np.uint8]) -> FeatureStats:
    """Statistics per channel of uint8 [T, H, W, 3], scaled to 0..1, shape (3, 1, 1); `count` is frames looked at."""
    picked = frames[sample_indices(len(frames))]
    levels = np.arange(256) / 255.0
    counts = np.stack([np.bincount(picked[..., c].ravel(), minlength=256) for c in range(picked.shape[-1])])
    total = counts[0].sum()
    mean = counts @ levels / total
    variance = (counts * (levels[None] - mean[:, None]) ** 2).sum(axis=1) / total
    seen = counts > 0
    below = counts.cumsum(axis=1)
    result = {
        "min": levels[seen.argmax(axis=1)],
        "max": levels[255 - seen[:, ::-1].argmax(axis=1)],
        "mean": mean,
        "std": np.sqrt(variance),
    }
    for name, share in QUANTILES.items():
        result[name] = levels[(below > share * (total - 1)).argmax(axis=1)]
    return {name: value.reshape(-1, 1, 1) for name, value in result.items()} | {"count": np.array([len(picked)])}


def sample_indices(count: int) -> npt.NDArray[np.int64]:
    """Frames that image statistics look at: all up to 100, then count ** 0.75 of them, evenly spread."""
    wanted = min(count, max(100, min(int(count**0.75), 10_000)))
    return np.round(np.linspace(0, count - 1, wanted)).astype(np.int64)


class RunningStats:
    """Statistics of one feature over episodes; memory does not grow, order does not matter."""

    def __init__(self) -> None:
        self._count = 0
        self._shape: tuple[int, ...] | None = None
        self._zero: FeatureStats | None = None
        self._low: npt.NDArray[Any] | None = None
        self._high: npt.NDArray[Any] | None = None
        self._sums: dict[str, list[Fraction]] = {}

    def add(self, stats: FeatureStats) -> None:
        """Takes in one episode. Raises ValueError where the shape differs from the episodes before."""
        if self._shape is None:
            self._shape, self._zero = stats["mean"].shape, stats
            self._sums = {name: [Fraction(0)] * stats["mean"].size for name in ("mean", "square", *QUANTILES)}
        if stats["mean"].shape != self._shape:
            raise ValueError(f"statistics of shape {stats['mean'].shape} after {self._shape}")
        count = int(stats["count"][0])
        if not count:
            return
        self._count += count
        self._low = stats["min"] if self._low is None else np.minimum(self._low, stats["min"])
        self._high = stats["max"] if self._high is None else np.maximum(self._high, stats["max"])
        for index, (mean, std) in enumerate(zip(stats["mean"].flat, stats["std"].flat, strict=True)):
            exact = Fraction(float(mean))
            self._sums["mean"][index] += count * exact
            self._sums["square"][index] += count * (Fraction(float(std)) ** 2 + exact**2)
        for name in QUANTILES:
            for index, value in enumerate(stats[name].flat):
                self._sums[name][index] += count * Fraction(float(value))

    def result(self) -> FeatureStats:
        """The statistics so far. Raises ValueError before the first `add`."""
        if self._shape is None or self._zero is None:
            raise ValueError("no statistics were added")
        if self._low is None or self._high is None:
            return self._zero
        means = [total / self._count for total in self._sums["mean"]]
        variances = [total / self._count - mean**2 for total, mean in zip(self._sums["square"], means, strict=True)]
        result = {
            "min": self._low,
            "max": self._high,
            "mean": self._array([float(mean) for mean in means]),
            "std": self._array([math.sqrt(max(variance, Fraction(0))) for variance in variances]),
            "count": np.array([self._count]),
        }
        for name in QUANTILES:
            result[name] = self._array([float(total / self._count) for total in self._sums[name]])
        return result

    def _array(self, values: list[float]) -> npt.NDArray[np.float64]:
        return np.array(values).reshape(self._shape or ())


def merge_stats(parts: list[FeatureStats]) -> FeatureStats:
    """Statistics of all rows behind `parts`."""
    running = RunningStats()
    for part in parts:
        running.add(part)
    return running.result()
