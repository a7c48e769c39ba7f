"""Which runs make up a pool: of one ring, epoch by epoch, or of several by weight."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from components.core.errors import UsageError
from components.dataset.loading.episodes import part_frames
from components.dataset.loading.order import RunOrder
from components.dataset.loading.permutation import shuffled
from components.dataset.parts import Part

_POOL = 3
# Shares of a pool are counted in this part of a run.
_UNIT = 1 << 32


@dataclass(frozen=True, eq=False)
class PoolOrder:
    """The windows that are shuffled among each other.

    `start`: position of the first; `size`: how many; `first`, `count`: int64 [n], the runs of frames that they are, on
    the ring of all sources one after the other; `key` of the shuffle, none: as they lie.
    """

    start: int
    size: int
    first: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]
    key: tuple[int, ...] | None

    @property
    def stop(self) -> int:
        return self.start + self.size

    @cached_property
    def order(self) -> npt.NDArray[np.int64]:
        """int64 [size]: which of the pool's windows comes at each of its positions."""
        return np.arange(self.size) if self.key is None else shuffled(self.size, *self.key)


class PoolPlan(Protocol):
    """Cuts the endless row of windows that a rank sees into pools."""

    def pool_at(self, position: int) -> PoolOrder:
        """The pool of the window at this position."""
        ...


class EpochPools:
    """Pools of one ring. An epoch is cut into pools of as equal a size as whole runs allow; none reaches into the next.

    So every window comes exactly once an epoch, over all ranks.
    """

    def __init__(self, order: RunOrder, runs_per_pool: int, key: tuple[int, ...], *, shuffle: bool = True) -> None:
        self._order, self._runs_per_pool, self._key, self._shuffle = order, runs_per_pool, key, shuffle

    def pool_at(self, position: int) -> PoolOrder:
        order = self._order
        epoch, before = order.epoch_of_frame(position)
        runs = order.epoch_runs(epoch)
        pools = -(-runs // self._runs_per_pool)
        # The last pool that starts at or before this run; pool p starts at run p * runs // pools.
        pool = (((position - before) // order.run_frames + 1) * pools - 1) // runs
        start, stop = pool * runs // pools, (pool + 1) * runs // pools
        part = order.of_epoch(epoch, start, stop)
        key = (_POOL, epoch, pool, *self._key) if self._shuffle else None
        return PoolOrder(before + start * order.run_frames, int(part.count.sum()), part.first, part.count, key)


class MixedPools:
    """Pools of several rings by weight, each with endless epochs of its own.

    After any number of whole pools a source has had its share of the windows to within two runs: a pool takes whole
    runs, and what a source did not get is carried over. Shares are rounded to 2**-32 of a run a pool.
    """

    def __init__(
        self, orders: Sequence[RunOrder], weights: Sequence[float], pool_windows: int, key: tuple[int, ...]
    ) -> None:
        self._orders, self._key = orders, key
        self._offsets = np.cumsum([0, *(order.frames for order in orders)])[:-1]
        total = sum(Fraction(weight) for weight in weights)
        # Runs a pool, by the mean length of a run: short episodes make short runs.
        shares = [
            Fraction(weight) / total * pool_windows * order.runs / order.frames
            for weight, order in zip(weights, orders, strict=True)
        ]
        self._shares = [round(share * _UNIT) for share in shares]
        # Sources of the same share take their odd run in different pools.
        self._phases = [_UNIT * (2 * number + 1) // (2 * len(orders)) for number in range(len(orders))]

    def pool_at(self, position: int) -> PoolOrder:
        pool = self._find(position)
        parts = [
            (order.between(self._runs_before(number, pool), self._runs_before(number, pool + 1)), offset)
            for number, (order, offset) in enumerate(zip(self._orders, self._offsets, strict=True))
        ]
        first = np.concatenate([part.first + offset for part, offset in parts])
        count = np.concatenate([part.count for part, _ in parts])
        return PoolOrder(self._before(pool), int(count.sum()), first, count, (_POOL, pool, *self._key))

    def _runs_before(self, source: int, pool: int) -> int:
        return (pool * self._shares[source] + self._phases[source]) // _UNIT

    def _before(self, pool: int) -> int:
        """Windows in the first `pool` pools."""
        return sum(order.frames_before(self._runs_before(number, pool)) for number, order in enumerate(self._orders))

    def _find(self, position: int) -> int:
        """The last pool that starts at or before `position`; pools without a window are passed over."""
        low, high = 0, 1
        while self._before(high) <= position:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._before(middle) <= position else (low, middle)
        return low


def checked_weights(parts: Sequence[Part], weights: Sequence[float]) -> tuple[float, ...]:
    """The weights, one a part. Raises `UsageError` where they are none."""
    if len(weights) != len(parts):
        raise UsageError(f"{len(weights)} weights for {len(parts)} datasets", hint="Give one weight a dataset")
    for part, weight in zip(parts, weights, strict=True):
        if not (math.isfinite(weight) and weight >= 0):
            raise UsageError(f"the weight of {part.name!r} is {weight}, expected a number from 0 on")
    if not sum(weights) > 0:
        raise UsageError("all weights are 0", hint="Give at least one dataset a weight above 0")
    return tuple(float(weight) for weight in weights)


def weights_by_embodiment(parts: Sequence[Part], shares: Mapping[str, float]) -> tuple[float, ...]:
    """A weight a part: each embodiment's share, divided among its parts by their frames.

    `shares`: embodiment name -> weight. Raises `UsageError` where an embodiment has no share, or no part.
    """
    names = [part.dataset.embodiment.name for part in parts]
    for missing in sorted(set(names) ^ set(shares)):
        what = "has no dataset" if missing in shares else "has no weight"
        raise UsageError(f"embodiment {missing!r} {what}", hint=f"The datasets are of {', '.join(sorted(set(names)))}")
    frames = [part_frames(part) for part in parts]
    totals = {name: sum(n for n, other in zip(frames, names, strict=True) if other == name) for name in set(names)}
    return tuple(shares[name] * count / totals[name] for name, count in zip(names, frames, strict=True))
