"""Statistics of an episode and how they add up to those of the dataset.

Merging reads no frames: count, min, max, mean and std come out as if all rows had been seen at once, and in any order
with the same bits, because sums are kept as whole numbers of the smallest float. Quantiles do not merge; like LeRobot,
the dataset's are the mean of the episodes' quantiles weighted by count.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
STAT_NAMES = ("min", "max", "mean", "std", "count", *QUANTILES)

# min, max, mean, std, q*: float64 (min and max int64 for whole numbers) of the feature's shape; count: int64 [1].
FeatureStats = dict[str, npt.NDArray[Any]]

# The smallest float64 is 2 ** -_BITS.
_BITS = 1074
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


class ImageStats:
    """Statistics of one camera over an episode of `length` frames that come one after the other; `add` each of them.

    Looks at the frames of `sample_indices` alone; memory is one histogram.
    """

    def __init__(self, length: int) -> None:
        self._wanted = frozenset(sample_indices(length).tolist())
        self._counts = np.zeros((3, 256), np.int64)
        self._index = 0

    def add(self, frame: npt.NDArray[np.uint8]) -> None:
        """Takes in the next frame, uint8 [H, W, 3]."""
        if self._index in self._wanted:
            self._counts += np.array(Image.fromarray(frame).histogram()).reshape(3, 256)
        self._index += 1

    def result(self) -> FeatureStats:
        """Per channel, scaled to 0..1, shape (3, 1, 1); `count` is frames looked at."""
        counts, levels = self._counts, np.arange(256) / 255.0
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
        shaped = {name: value.reshape(-1, 1, 1) for name, value in result.items()}
        return shaped | {"count": np.array([len(self._wanted)])}


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
        self._sums: dict[str, list[int]] = {}

    def add(self, stats: FeatureStats) -> None:
        """Takes in one episode. Raises ValueError where the shape differs from the episodes before."""
        if self._shape is None:
            self._shape = stats["mean"].shape
            self._zero = {name: np.zeros_like(value) for name, value in stats.items()}
            self._sums = {name: [0] * stats["mean"].size for name in ("mean", "square", *QUANTILES)}
        if stats["mean"].shape != self._shape:
            raise ValueError(f"statistics of shape {stats['mean'].shape} after {self._shape}")
        count = int(stats["count"][0])
        if not count:
            return
        self._count += count
        # Adding 0 turns -0.0 into 0.0; which of the two a minimum keeps would depend on order.
        low, high = stats["min"] + 0, stats["max"] + 0
        self._low = low if self._low is None else np.minimum(self._low, low)
        self._high = high if self._high is None else np.maximum(self._high, high)
        for index, (mean, std) in enumerate(zip(stats["mean"].flat, stats["std"].flat, strict=True)):
            exact = _exact(mean)
            self._sums["mean"][index] += count * exact
            self._sums["square"][index] += count * (_exact(std) ** 2 + exact**2)
        for name in QUANTILES:
            for index, value in enumerate(stats[name].flat):
                self._sums[name][index] += count * _exact(value)

    def result(self) -> FeatureStats:
        """The statistics so far. Raises ValueError before the first `add`."""
        if self._shape is None or self._zero is None:
            raise ValueError("no statistics were added")
        if self._low is None or self._high is None:
            return self._zero
        means = [Fraction(total, self._count << _BITS) for total in self._sums["mean"]]
        squares = [Fraction(total, self._count << 2 * _BITS) for total in self._sums["square"]]
        variances = [square - mean**2 for square, mean in zip(squares, means, strict=True)]
        result = {
            "min": self._low,
            "max": self._high,
            "mean": self._array([float(mean) for mean in means]),
            "std": self._array([math.sqrt(max(variance, Fraction(0))) for variance in variances]),
            "count": np.array([self._count]),
        }
        for name in QUANTILES:
            result[name] = self._array([float(Fraction(total, self._count << _BITS)) for total in self._sums[name]])
        return result

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON; the sums stay exact."""
        if self._zero is None:
            raise ValueError("no statistics were added")
        return {
            "count": self._count,
            "zero": {name: value.tolist() for name, value in self._zero.items()},
            "low": None if self._low is None else self._low.tolist(),
            "high": None if self._high is None else self._high.tolist(),
            # Hexadecimal: Python refuses to turn very long numbers into decimal digits.
            "sums": {name: [f"{value:x}" for value in sums] for name, sums in self._sums.items()},
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> RunningStats:
        """Inverse of `as_dict`."""
        running = cls()
        running._count = value["count"]
        running._zero = {name: np.array(part) for name, part in value["zero"].items()}
        running._shape = running._zero["mean"].shape
        running._low = None if value["low"] is None else np.array(value["low"])
        running._high = None if value["high"] is None else np.array(value["high"])
        running._sums = {name: [int(text, 16) for text in sums] for name, sums in value["sums"].items()}
        return running

    def _array(self, values: list[float]) -> npt.NDArray[np.float64]:
        return np.array(values).reshape(self._shape or ())


def _exact(value: float) -> int:
    """`value` in units of 2 ** -_BITS, of which every float64 is a whole number."""
    above, below = float(value).as_integer_ratio()
    return above << (_BITS + 1 - below.bit_length())


def merge_stats(parts: list[FeatureStats]) -> FeatureStats:
    """Statistics of all rows behind `parts`."""
    running = RunningStats()
    for part in parts:
        running.add(part)
    return running.result()
