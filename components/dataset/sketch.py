"""Quantiles that merge: DDSketch (Masson, Rim, Lee, VLDB 2019), vectorised over the dimensions of a feature.

A number falls into one of the `buckets`, whose middle is within 0.5 % of it. Pictures have 256 levels, each a bucket of
its own. A sketch is how often each bucket was met: merging adds counts, and taking a part
away subtracts them, exactly and in any order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.errors import DatasetError
from components.dataset.buckets import ACCURACY, keys_of, values_of

# Buckets that divide the reals, or the 256 levels of a picture (which are worth level / 255).
KINDS = ("log", "levels")

# A cell is a bucket of a dimension: dimension << 32 | key + 2 ** 31.
_KEY_BITS = 32
_KEY_OFFSET = 1 << 31
# Cells are counted in a table where that has at most so many times the entries there are values, else by sorting.
_DENSE = 2

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Sketch:
    """How often each bucket of each of `width` dimensions was met.

    `cells`: int64 [M], ascending; `counts`: int64 [M], above 0. The same values give the same arrays, in whatever
    order and in however many parts they came.
    """

    width: int
    kind: str
    cells: Counts
    counts: Counts

    @classmethod
    def of(cls, values: npt.NDArray[Any]) -> Sketch:
        """Of [N] or [N, D] finite numbers."""
        rows = values.reshape(len(values), math.prod(values.shape[1:])).astype(np.float64, copy=False)
        return cls._counted(rows.shape[1], keys_of(rows))

    @classmethod
    def of_levels(cls, counts: npt.NDArray[np.integer[Any]]) -> Sketch:
        """Of pictures: [D, 256], how often each channel had each level."""
        dimension, level = np.nonzero(counts)
        return cls(len(counts), "levels", _cells(dimension, level), counts[dimension, level].astype(np.int64))

    @classmethod
    def from_lists(cls, kind: str, sizes: npt.ArrayLike, keys: npt.ArrayLike, counts: npt.ArrayLike) -> Sketch:
        """Inverse of `sizes`, `keys` and `counts`. Raises `DatasetError` where they do not belong together."""
        lengths, buckets = np.asarray(sizes, np.int64), np.asarray(keys, np.int64)
        numbers = np.asarray(counts, np.int64)
        if kind not in KINDS or not lengths.sum() == len(buckets) == len(numbers) or (numbers < 1).any():
            raise DatasetError(f"not a sketch: {len(buckets)} buckets, {len(numbers)} counts of kind {kind!r}")
        cells = _cells(np.repeat(np.arange(len(lengths)), lengths), buckets)
        if (np.diff(cells) <= 0).any():
            raise DatasetError("not a sketch: its buckets are not in order")
        return cls(len(lengths), kind, cells, numbers)

    @classmethod
    def empty(cls, width: int, kind: str = "log") -> Sketch:
        return cls(width, kind, np.zeros(0, np.int64), np.zeros(0, np.int64))

    def as_dict(self) -> dict[str, Any]:
        """As JSON: per dimension a line of buckets and a line of counts."""
        return {"kind": self.kind, "keys": self._lines(self.keys), "counts": self._lines(self.counts)}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Sketch:
        """Inverse of `as_dict`."""
        keys, counts = ([np.array(line.split(), np.int64) for line in value[name]] for name in ("keys", "counts"))
        sizes = [len(line) for line in keys]
        return cls.from_lists(value["kind"], sizes, np.concatenate(keys), np.concatenate(counts))

    def _lines(self, numbers: npt.NDArray[np.integer[Any]]) -> list[str]:
        return [" ".join(map(str, line.tolist())) for line in np.split(numbers, self.sizes.cumsum()[:-1])]

    @property
    def sizes(self) -> Counts:
        """Buckets of each dimension, [D]."""
        return np.bincount(self.cells >> _KEY_BITS, minlength=self.width).astype(np.int64)

    @property
    def keys(self) -> npt.NDArray[np.int32]:
        """Bucket of each count, [M]: those of the first dimension, then of the next, ascending within each."""
        return ((self.cells & (2 * _KEY_OFFSET - 1)) - _KEY_OFFSET).astype(np.int32)

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """What stands for the bucket of each count, [M]."""
        return self.keys / 255.0 if self.kind == "levels" else values_of(self.keys)

    @property
    def totals(self) -> Counts:
        """Values seen of each dimension, [D]."""
        totals = np.zeros(self.width, np.int64)
        np.add.at(totals, self.cells >> _KEY_BITS, self.counts)
        return totals

    def merge(self, *others: Sketch) -> Sketch:
        """Of the values behind all of them."""
        return merge_sketches([self, *others])

    def subtract(self, part: Sketch) -> Sketch:
        """Of the values that are not behind `part`. Raises ValueError where `part` holds what this one does not."""
        _require_alike(self, part)
        cells, counts = _summed(np.concatenate([self.cells, part.cells]), np.concatenate([self.counts, -part.counts]))
        if (counts < 0).any():
            raise ValueError("a sketch was subtracted from one that does not contain it")
        return Sketch(self.width, self.kind, cells[counts > 0], counts[counts > 0])

    def quantile(self, share: float) -> npt.NDArray[np.float64]:
        """[D]: what `np.quantile(values, share, method="lower")` would be, within `ACCURACY` of it; 0 where nothing is.

        |found - true| <= ACCURACY * |true|, or |true| < 1e-9 where 0 is found. Levels of pictures are exact.
        """
        values, result, start = self.values, np.zeros(self.width), 0
        for dimension, size in enumerate(self.sizes.tolist()):
            counts = self.counts[start : start + size].cumsum()
            if size:
                rank = np.floor(share * (counts[-1] - 1))
                result[dimension] = values[start + int(np.searchsorted(counts, rank, side="right"))]
            start += size
        return result

    def share_outside(self, low: npt.ArrayLike, high: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """[D]: share of the values below `low` [D] or above `high` [D], judged by what stands for their buckets.

        A value within 0.5 % of a limit may count on either side of it.
        """
        dimension = self.cells >> _KEY_BITS
        below = self.values < np.asarray(low, np.float64)[dimension] * _slack(low, -1)[dimension]
        above = self.values > np.asarray(high, np.float64)[dimension] * _slack(high, 1)[dimension]
        outside = np.bincount(dimension, weights=self.counts * (below | above), minlength=self.width)
        return outside / np.maximum(self.totals, 1)

    @classmethod
    def _counted(cls, width: int, keys: Counts) -> Sketch:
        """Of the buckets [N, D] that were met; `keys` is used up."""
        if not keys.size:
            return cls.empty(width)
        low = int(keys.min())
        span = int(keys.max()) - low + 1
        keys += np.arange(width) * span - low
        places = keys.ravel()
        if span * width <= _DENSE * keys.size:
            table = np.bincount(places, minlength=span * width)
            places = np.flatnonzero(table)
            counts = table[places]
        else:
            places, counts = np.unique(places, return_counts=True)
        dimension, key = np.divmod(places, span)
        return cls(width, "log", _cells(dimension, key + low), counts.astype(np.int64))


def merge_sketches(sketches: Iterable[Sketch]) -> Sketch:
    """Of the values behind all of them. Raises ValueError where they differ in kind or width, or there is none."""
    parts = list(sketches)
    if not parts:
        raise ValueError("no sketch was given")
    for part in parts[1:]:
        _require_alike(parts[0], part)
    cells, counts = _summed(
        np.concatenate([part.cells for part in parts]), np.concatenate([part.counts for part in parts])
    )
    return Sketch(parts[0].width, parts[0].kind, cells, counts)


def _cells(dimension: npt.NDArray[np.integer[Any]], keys: npt.NDArray[np.integer[Any]]) -> Counts:
    return (dimension.astype(np.int64) << _KEY_BITS) + (keys.astype(np.int64) + _KEY_OFFSET)


def _summed(cells: Counts, counts: Counts) -> tuple[Counts, Counts]:
    """Each cell once, ascending, with the sum of its counts."""
    if not len(cells):
        return cells, counts
    order = np.argsort(cells, kind="stable")
    ordered = cells[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    return ordered[starts], np.add.reduceat(counts[order], starts)


def _slack(limit: npt.ArrayLike, direction: int) -> npt.NDArray[np.float64]:
    """Factor that moves a limit outwards by the accuracy, so that a value at the limit counts as inside."""
    return 1 + direction * ACCURACY * np.sign(np.asarray(limit, np.float64))


def _require_alike(one: Sketch, other: Sketch) -> None:
    if (one.width, one.kind) != (other.width, other.kind):
        raise ValueError(f"a sketch of {other.width} dimensions ({other.kind}) with one of {one.width} ({one.kind})")
