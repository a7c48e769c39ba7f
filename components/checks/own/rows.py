"""The measured rows as arrays, and what is usual in them: medians and spreads that a few bad rows cannot move."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.checks.channels import Channels
from components.checks.codes import FEWEST
from components.core.spec import Embodiment

Floats = npt.NDArray[np.float64]
Groups = npt.NDArray[np.int64]

# Of a normal distribution: standard deviation over median absolute deviation.
NORMAL = 1.4826


class Rows:
    """`table`: what `measure_dataset` gave, or some rows of it."""

    def __init__(self, table: pa.Table, body: Embodiment) -> None:
        self.table = table
        self.body = body
        self.channels = Channels(body)

    def __len__(self) -> int:
        return self.table.num_rows

    def number(self, name: str) -> Floats:
        """float64 [N]."""
        return np.asarray(self.table[name].to_numpy(), np.float64)

    def vector(self, name: str) -> Floats:
        """float64 [N, K] of a column of lists that are all of one size."""
        column = self.table[name].combine_chunks()
        flat = column.flatten().to_numpy(zero_copy_only=False)
        return np.asarray(flat, np.float64).reshape(len(self), len(flat) // max(1, len(self)))

    def text(self, name: str) -> list[str]:
        return [value or "" for value in self.table[name].to_pylist()]

    def groups(self, *names: str) -> Groups:
        """int64 [N]: equal numbers where all of these columns are equal."""
        codes = np.zeros(len(self), np.int64)
        for name in names:
            own = pc.fill_null(self.table[name], "").combine_chunks().dictionary_encode().indices.to_numpy()
            _, codes = np.unique(codes * (int(own.max(initial=0)) + 1) + own, return_inverse=True)
        return codes

    @cached_property
    def tasks(self) -> Groups:
        """Numbers of the tasks; tasks with fewer than `FEWEST` episodes share one."""
        codes = self.groups("task")
        few = np.bincount(codes)[codes] < FEWEST
        return np.where(few, -1, codes)

    @property
    def can_compare(self) -> bool:
        """Whether there are enough episodes to say what is usual."""
        return len(self) >= FEWEST


def members(groups: Groups) -> list[npt.NDArray[np.int64]]:
    """Rows of each group. Rows of group -1, which are too few for one of their own, come once."""
    order = np.argsort(groups, kind="stable")
    cuts = np.flatnonzero(np.diff(groups[order])) + 1
    return np.split(order, cuts) if len(order) else []


def usual(values: Floats, groups: Groups, quantile: float = 0.5) -> Floats:
    """[N, ...]: for each row the quantile over its group, or over all rows where its group is -1. NaN is left out."""
    found = np.empty_like(values)
    for rows in members(groups):
        sample = values if groups[rows[0]] < 0 else values[rows]
        found[rows] = _quantile(sample, quantile)
    return found


def spread(values: Floats, groups: Groups, centre: Floats) -> Floats:
    """[N, ...]: like `usual`, the deviation about `centre`, from its median (MAD, scaled to a standard deviation)."""
    return NORMAL * usual(np.abs(values - centre), groups)


def deviation(values: Floats, groups: Groups, floor: Floats | float) -> Floats:
    """[N, ...]: how many spreads each value is from its group's median; `floor`: the least that counts as a spread."""
    centre = usual(values, groups)
    return (values - centre) / np.maximum(spread(values, groups, centre), floor)


def _quantile(values: Floats, quantile: float) -> Floats:
    """Along the first axis, the lower value where it falls between two; NaN where there is nothing."""
    ordered = np.sort(values, axis=0)
    known = np.isfinite(ordered).sum(axis=0)
    place = np.maximum(0, np.floor(quantile * (known - 1)).astype(np.int64))
    found: Floats = np.take_along_axis(ordered, place[None], axis=0)[0]
    return np.where(known > 0, found, np.nan)
