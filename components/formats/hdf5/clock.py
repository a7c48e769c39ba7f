"""Sensor time of an episode: a dataset that holds it, or the rate that its writer is known to run at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import h5py
import numpy as np

from components.core.errors import EpisodeError
from components.formats.assemble import Times, assumed_times, times_from_seconds
from components.formats.hdf5.file import find, listed, members
from components.formats.hdf5.values import attribute_text, numbers
from components.formats.mapping import Mapping, StreamRule

_NS_OF = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_MOST_NS = 4 * 10**18


@dataclass
class Clock:
    """Times for the streams of one episode. `own`: the clock of the dialect, where it has one; `unit`: of time datasets
    that do not name theirs in an attribute `units`; `assumed`: whether any times had to be made from a rate.
    """

    group: h5py.Group
    mapping: Mapping
    where: str
    rate_hz: float
    unit: str = "s"
    own: Callable[[], Times | None] = lambda: None
    assumed: bool = False
    _steps: int = 0
    _known: dict[str, Times] = field(default_factory=dict)

    def times(self, rule: StreamRule, count: int) -> Times:
        """int64 [N] ns. Raises `EpisodeError` (missing_stream, bad_time) and `FormatError`."""
        name = rule.time or self.mapping.time
        if name:
            return self._dataset(name)
        if "" not in self._known:
            own = self.own()
            if own is not None:
                self._known[""] = own
        if "" in self._known:
            return self._known[""]
        self.assumed = True
        self._steps = self._steps or count
        if count != self._steps:
            raise EpisodeError(
                f"dataset {rule.source!r} has {count} samples, others {self._steps}, and no clock tells them apart",
                where=self.where,
                hint="Name datasets with their times in a mapping, or leave one of them out",
                code="length_mismatch",
            )
        return assumed_times(count, self.mapping, default_hz=self.rate_hz)

    def _dataset(self, name: str) -> Times:
        if name not in self._known:
            dataset = find(self.group, name, where=self.where)
            if not isinstance(dataset, h5py.Dataset):
                raise EpisodeError(
                    f"no dataset {name!r} with the sensor time; there are "
                    f"{listed(members(self.group, where=self.where))}",
                    where=self.where,
                    hint="Name another as `time` in the mapping, or say its `rate_hz`",
                    code="missing_stream",
                )
            unit = attribute_text(dataset, "units", where=self.where) or self.unit
            self._known[name] = times_in(dataset, unit, name, where=self.where)
        return self._known[name]


def times_in(dataset: h5py.Dataset, unit: str, name: str, *, where: str) -> Times:
    """int64 [N] ns from a dataset in `unit`. Raises `EpisodeError` (bad_time)."""
    if unit not in _NS_OF:
        raise EpisodeError(
            f"{name!r} counts in {unit!r}, expected one of {', '.join(_NS_OF)}", where=where, code="bad_time"
        )
    values, _ = numbers(dataset, name, where=where)
    if values.dtype.kind in "iu" and values.ndim == 1 and len(values):
        # Whole numbers stay exact; a float64 of seconds since 1970 is off by 100 ns and more.
        if any(abs(int(edge)) > _MOST_NS // _NS_OF[unit] for edge in (values.min(), values.max())):
            raise EpisodeError(f"{name!r} holds {values.max()} {unit}", where=where, code="bad_time")
        times = values.astype(np.int64) * _NS_OF[unit]
    else:
        times = times_from_seconds(values if unit == "s" else values * (_NS_OF[unit] / 1e9), name, where=where)
    if len(times) > 2 and times.min() == times.max():
        raise EpisodeError(
            f"{name!r} holds the same time {len(times)} times",
            where=where,
            hint="float32 cannot tell one step of today from the next; say `rate_hz` in the mapping instead of `time`",
            code="bad_time",
        )
    return times
