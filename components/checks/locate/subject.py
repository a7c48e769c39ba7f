"""One episode that is asked about, and what the places in it are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from components.checks.channels import TIME, Channels
from components.checks.codes import CHECKS
from components.checks.locate.seen import Seen, look
from components.checks.measure.channels_of import mended
from components.checks.own.rows import Floats, Rows, usual
from components.checks.suite import bound
from components.core.params import Checks
from components.dataset.reader import Dataset

Flags = npt.NDArray[np.bool_]
Ticks = tuple[tuple[int, int], ...]
# Good ticks between two guilty ones that are passed over.
_GAP = 1


@dataclass(frozen=True)
class Place:
    """`ticks`: ranges, first and last included; empty where what was found is not at some ticks more than at others."""

    kind: Literal["channel", "camera", "stream", "episode"]
    name: str
    note: str
    ticks: Ticks = ()


@dataclass(frozen=True, eq=False)
class Subject:
    """`rows`: all episodes as they were measured; `number`: which of them; `judged`: its row of the episode table."""

    dataset: Dataset
    rows: Rows
    number: int
    judged: Mapping[str, Any]
    params: Checks

    @property
    def index(self) -> int:
        return int(self.judged["episode_index"])

    @property
    def channels(self) -> Channels:
        return self.rows.channels

    @cached_property
    def _frames(self) -> dict[str, npt.NDArray[Any]]:
        return self.dataset.frames(self.index, (*self.channels.features, TIME))

    @cached_property
    def raw(self) -> Floats:
        """float64 [T, C] as recorded."""
        return self.channels.matrix(self._frames)

    @cached_property
    def values(self) -> Floats:
        """[T, C], finite everywhere, as the measures are taken of it."""
        return mended(self.raw)

    @cached_property
    def steps(self) -> Floats:
        return self.values[1:] - self.values[:-1]

    @cached_property
    def time_s(self) -> Floats:
        """[T]"""
        return np.asarray(self._frames[TIME], np.float64).reshape(-1)

    @cached_property
    def moving(self) -> Flags:
        """[T - 1]: whether the hand moves from each tick to the next."""
        return np.linalg.norm(self.steps[:, self.channels.hand], axis=1) >= self.channels.still

    @cached_property
    def streams(self) -> list[dict[str, Any]]:
        return self.dataset.streams_of(self.index)

    @cached_property
    def seen(self) -> dict[str, Seen]:
        """What each camera shows, picture by picture."""
        return {camera: look(self.dataset, self.index, camera, self.params) for camera in self.dataset.cameras}

    def limit(self, column: str) -> float:
        """What a column of the episode table is held to."""
        return next(
            bound(rule, self.params) or 0.0 for check in CHECKS for rule in check.rules if rule.column == column
        )

    def own(self, name: str) -> Any:
        """What this episode has in a measured column: a number, or [K]."""
        return self.rows.vector(name)[self.number] if self.is_vector(name) else self.rows.number(name)[self.number]

    def usual(self, name: str, quantile: float = 0.5) -> Any:
        """What is usual in the task of this episode for a measured column: a number, or [K]."""
        values = self.rows.vector(name) if self.is_vector(name) else self.rows.number(name)
        return usual(values, self.rows.tasks, quantile)[self.number]

    def is_vector(self, name: str) -> bool:
        return bool(self.rows.table.schema.field(name).type.num_fields)

    def channel(self, number: int, note: str, guilty: Flags | None = None) -> Place:
        ticks = () if guilty is None else runs(guilty)
        return Place("channel", self.channels.all[number].path, note, ticks)


def runs(guilty: Flags, gap: int = _GAP) -> Ticks:
    """Ranges of the True in [T], those that are at most `gap` ticks apart as one."""
    at = np.flatnonzero(guilty)
    if not len(at):
        return ()
    cuts = np.flatnonzero(np.diff(at) > gap + 1)
    firsts, lasts = at[np.concatenate([[0], cuts + 1])], at[np.concatenate([cuts, [len(at) - 1]])]
    return tuple(zip(firsts.tolist(), lasts.tolist(), strict=True))


def arriving(guilty: Flags) -> Flags:
    """[T] of flags of the ways between ticks [T - 1]: the tick at which a way ends."""
    return np.concatenate([[False], guilty])


def whole(note: str) -> list[Place]:
    """The episode as such."""
    return [Place("episode", "", note)]


def longest(flags: Flags) -> Flags:
    """Only the longest run of True in [N]."""
    found = np.zeros(len(flags), bool)
    spans: Sequence[tuple[int, int]] = runs(flags, gap=0)
    if spans:
        first, last = max(spans, key=lambda span: span[1] - span[0])
        found[first : last + 1] = True
    return found
