"""Which episodes belong together, and on which side of a split each falls.

A function of the episodes alone: their order does not matter, nor do others that are not like them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.dataset.frames import SPLITS

# The side that nothing is trained on.
HELD_OUT = SPLITS[1]
# Columns of the table of episodes: equal values, unless empty, tie episodes together.
TIES = ("episode_id", "pixel_sha256", "frames_sha256")
_SCALE = float(1 << 64)


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a split looks at. `group`: episodes of one non-empty group stay together (a robot, a collector)."""

    episode_id: str
    pixel_sha256: str
    task: str
    group: str = ""
    frames_sha256: str = ""

    @property
    def marks(self) -> tuple[str, str, str, str]:
        """Episodes that have one of these in common are never on two sides; empty ones say nothing."""
        return self.episode_id, self.pixel_sha256, self.frames_sha256, self.group

    @property
    def name(self) -> str:
        """Ids survive a conversion and another size of the pictures; hashes of pixels do not."""
        return self.group or self.episode_id


def group_of(row: Mapping[str, object], columns: Sequence[str]) -> str:
    """What episodes that agree in all of these columns have in common; "" where the row says nothing there."""
    values = [str(row[name]) for name in columns]
    return "/".join(values) if any(values) else ""


def units_of(candidates: Sequence[Candidate]) -> dict[str, str]:
    """episode_id -> name of the unit that is split as one.

    Equal ids, pixels, numbers (`frames_sha256`) or groups tie episodes together, also by way of a third one. A unit is
    named by its first group, else by its smallest id, which one that is added may have.
    """
    parent = list(range(len(candidates)))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    first: tuple[dict[str, int], ...] = ({}, {}, {}, {})
    for number, candidate in enumerate(candidates):
        for known, mark in zip(first, candidate.marks, strict=True):
            other = known.setdefault(mark, number) if mark else number
            if other != number:
                parent[root(number)] = root(other)
    # A group goes before any id, as a unit without one may get one later.
    names: dict[int, tuple[bool, str]] = {}
    for number, candidate in enumerate(candidates):
        unit, name = root(number), (not candidate.group, candidate.name)
        names[unit] = min(names.get(unit, name), name)
    return {candidate.episode_id: names[root(number)][1] for number, candidate in enumerate(candidates)}


def held_out(episodes: pa.Table) -> npt.NDArray[np.bool_]:
    """Rows [n] that are held out, or would have to be as another episode of their unit is.

    `episodes`: `TIES` and `split`. Units are those of `units_of` without groups, found for a million rows at once.
    """
    held: npt.NDArray[np.bool_] = pc.equal(episodes["split"], HELD_OUT).to_numpy()
    marks = [episodes[name].combine_chunks() for name in TIES]
    fresh = held
    while fresh.any():
        tied = np.zeros(len(held), bool)
        for values in marks:
            known = values.filter(pc.and_(pa.array(fresh), pc.not_equal(values, "")))
            tied |= pc.is_in(values, value_set=known).to_numpy(zero_copy_only=False)
        fresh = tied & ~held
        held = held | fresh
    return held


def hold_out(episodes: pa.Table, ids: pa.Array) -> pa.Table:
    """The rows with these episodes held out; `episodes`: `episode_id` and `split` at least."""
    chosen = pc.is_in(episodes["episode_id"], value_set=ids)
    sides = pc.if_else(chosen, HELD_OUT, episodes["split"])
    return episodes.set_column(episodes.column_names.index("split"), "split", sides)


def lot(unit: str, seed: int) -> float:
    """[0, 1), the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{unit}".encode()).digest()[:8], "big") / _SCALE


def deal(candidates: Sequence[Candidate], shares: Mapping[str, float], *, seed: int) -> dict[str, str]:
    """episode_id -> one of the names in `shares`, which add up to 1.

    Units fall by the lot of their names, so that adding episodes moves none, but where one that is tied to some that
    are there gives their unit another name. The order in which the shares are named does not matter.
    """
    units = units_of(candidates)
    names = sorted(shares)
    side = {unit: _side(lot(unit, seed), names, shares) for unit in set(units.values())}
    return {episode_id: side[unit] for episode_id, unit in units.items()}


def _side(value: float, names: Sequence[str], shares: Mapping[str, float]) -> str:
    end = 0.0
    for name in names[:-1]:
        end += shares[name]
        if value < end:
            return name
    return names[-1]
