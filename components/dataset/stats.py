"""Statistics of an episode and how they add up to those of the dataset.

Merging reads no frames and depends on no order. Count, min, max, mean and std come out as if all rows had been seen at
once, because sums are kept as whole numbers of the smallest float. Quantiles come from merged sketches: they are
`np.quantile(rows, share, method="lower")` within 0.5 % (`sketch.ACCURACY`), and exact for pictures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from components.dataset.moments import Moments
from components.dataset.sketch import Sketch, merge_sketches

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
STAT_NAMES = ("min", "max", "mean", "std", "count", *QUANTILES)

Values = npt.NDArray[Any]
# min, max, mean, std, q*: float64 (min and max int64 for whole numbers) of the feature's shape; count: int64 [1].
FeatureStats = dict[str, Values]
# What merges: the statistics of some rows, and the sketch of the same rows.
Measured = tuple[FeatureStats, Sketch]

# Anything larger is a broken reading: its square would overflow.
_LARGEST = 1e150
# Cells of sketches that are held before they are merged, at least.
_HELD_CELLS = 1 << 16


def usable_rows(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """[N, D]: the rows of [T] or [T, D] without NaN or infinity; whole numbers stay whole."""
    rows = values.reshape(len(values), math.prod(values.shape[1:]))
    if rows.dtype.kind in "iu":
        return rows
    rows = rows.astype(np.float64)
    return rows[finite_rows(rows)]


def finite_rows(rows: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.bool_]:
    """Which of [N, D] have neither NaN nor infinity nor an absurd number, [N]."""
    # NaN compares as false.
    usable: npt.NDArray[np.bool_] = (np.abs(rows) < _LARGEST).all(axis=1)
    return usable


def numeric_stats(values: npt.NDArray[Any]) -> FeatureStats:
    """Statistics of [T] or [T, D] over the rows without NaN or infinity; `count` says how many. Zeros where none."""
    rows = usable_rows(values)
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


def measure(values: npt.NDArray[Any]) -> Measured:
    """`numeric_stats` of [T] or [T, D], and the sketch of the same rows."""
    return numeric_stats(values), Sketch.of(usable_rows(values))


class RunningStats:
    """Statistics of one feature over many episodes; order does not matter.

    Memory grows with the buckets that were ever met, a few thousand a dimension, and not with episodes.
    """

    def __init__(self) -> None:
        self._shape: tuple[int, ...] | None = None
        self._whole = False
        self._moments = Moments(0)
        # Min and max, where any row counted.
        self._range: tuple[Values, Values] | None = None
        self._sketch = Sketch.empty(0)
        self._held: list[Sketch] = []
        self._held_cells = 0

    @property
    def count(self) -> int:
        return self._moments.count

    @property
    def sketch(self) -> Sketch:
        """Of all rows so far. Raises ValueError before the first `add`."""
        self._require_some()
        if self._held:
            self._sketch = merge_sketches([self._sketch, *self._held])
            self._held, self._held_cells = [], 0
        return self._sketch

    def add(self, stats: FeatureStats, sketch: Sketch) -> None:
        """Takes in one episode. Raises ValueError where shape or kind differ from the episodes before."""
        self._fit(stats["mean"].shape, stats["min"].dtype.kind in "iu", sketch)
        if int(stats["count"][0]):
            one = {name: stats[name][None] for name in ("count", "min", "max", "mean", "std")}
            self.add_many({**one, "count": stats["count"]}, sketch)

    def add_many(self, stats: FeatureStats, sketch: Sketch) -> None:
        """Takes in E episodes at once: `stats` have an axis [E] in front, `count` is [E] and above 0.

        `sketch` is that of all of them. Raises ValueError as `add` does.
        """
        self._fit(stats["mean"].shape[1:], stats["min"].dtype.kind in "iu", sketch)
        if not len(stats["count"]):
            return
        # Adding 0 turns -0.0 into 0.0; which of the two a minimum keeps would depend on order.
        self._widen(stats["min"].min(axis=0) + 0, stats["max"].max(axis=0) + 0, sketch)
        rows = (stats[name].reshape(len(stats["count"]), -1) for name in ("mean", "std"))
        for count, mean, std in zip(stats["count"].tolist(), *rows, strict=True):
            self._moments.add(count, mean, std)

    def merge(self, other: RunningStats) -> None:
        """Takes in all that `other` has; the same as adding its episodes. Raises ValueError as `add` does."""
        if other._shape is None:
            return
        self._fit(other._shape, other._whole, other.sketch)
        if other._range is not None:
            self._widen(*other._range, other.sketch)
            self._moments.combine(other._moments)

    def holds_extremes(self, part: RunningStats) -> bool:
        """Whether a minimum or maximum lies in `part`, so that without it they may be others."""
        if self._range is None or part._range is None:
            return False
        return bool((part._range[0] <= self._range[0]).any() or (part._range[1] >= self._range[1]).any())

    def subtract(self, part: RunningStats, rest: tuple[Values, Values] | None = None) -> None:
        """Undoes the `add` of every episode in `part`, exactly.

        `rest`: min and max over the episodes that remain, from their own statistics; needed where `holds_extremes`.
        Raises ValueError where they are missing, or where `part` was never added; nothing is changed then.
        """
        if not part.count:
            return
        left, remaining = self.sketch.subtract(part.sketch), self.count - part.count
        if remaining < 0:
            raise ValueError(f"{part.count} rows taken out of {self.count}")
        if remaining and rest is None and self.holds_extremes(part):
            raise ValueError("min or max go with what is taken out; give those of the rest")
        self._sketch = left
        self._moments.combine(part._moments, sign=-1)
        if rest is not None or not remaining:
            self._range = None if rest is None else (rest[0] + 0, rest[1] + 0)

    def result(self) -> FeatureStats:
        """The statistics so far; zeros where no row counted. Raises ValueError before the first `add`."""
        shape = self._require_some()
        zero = np.zeros(shape, np.int64 if self._whole else np.float64)
        low, high = self._range or (zero, zero)
        mean, std = (values.reshape(shape) for values in self._moments.result())
        result = {"min": low, "max": high, "mean": mean, "std": std, "count": np.array([self.count])}
        for name, share in QUANTILES.items():
            result[name] = np.clip(self.sketch.quantile(share).reshape(shape), low, high)
        return result

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON; nothing is rounded, and the order of the episodes leaves no trace."""
        return {
            "shape": list(self._require_some()),
            "whole": self._whole,
            "range": None if self._range is None else [limit.tolist() for limit in self._range],
            "moments": self._moments.as_dict(),
            "sketch": self.sketch.as_dict(),
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> RunningStats:
        """Inverse of `as_dict`."""
        running = cls()
        running._shape, running._whole = tuple(value["shape"]), value["whole"]
        running._range = None if value["range"] is None else (np.array(value["range"][0]), np.array(value["range"][1]))
        running._moments = Moments.from_dict(value["moments"])
        running._sketch = Sketch.from_dict(value["sketch"])
        return running

    def _fit(self, shape: tuple[int, ...], whole: bool, sketch: Sketch) -> None:
        if self._shape is None:
            self._shape, self._whole, self._moments = shape, whole, Moments(math.prod(shape))
            self._sketch = Sketch.empty(sketch.width, sketch.kind)
        if shape != self._shape:
            raise ValueError(f"statistics of shape {shape} after {self._shape}")
        if (sketch.width, sketch.kind) != (math.prod(shape), self._sketch.kind):
            raise ValueError(f"a sketch of {sketch.width} dimensions ({sketch.kind}) for the shape {shape}")

    def _widen(self, low: Values, high: Values, sketch: Sketch) -> None:
        before = self._range or (low, high)
        self._range = np.minimum(before[0], low), np.maximum(before[1], high)
        self._held.append(sketch)
        self._held_cells += len(sketch.cells)
        # Merging costs as much as what is there: doing so only when that would double keeps adding cheap.
        if self._held_cells > max(_HELD_CELLS, len(self._sketch.cells)):
            _ = self.sketch

    def _require_some(self) -> tuple[int, ...]:
        if self._shape is None:
            raise ValueError("no statistics were added")
        return self._shape


def merge_stats(parts: Iterable[Measured]) -> FeatureStats:
    """Statistics of all rows behind `parts`."""
    running = RunningStats()
    for stats, sketch in parts:
        running.add(stats, sketch)
    return running.result()
