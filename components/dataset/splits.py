"""Which episodes belong together, and on which side of a split each falls.

A function of the episodes alone: order and company do not matter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
        return self.group or self.pixel_sha256 or self.frames_sha256 or self.episode_id


def group_of(row: Mapping[str, object], columns: Sequence[str]) -> str:
    """What episodes that agree in all of these columns have in common; "" where the row says nothing there."""
    values = [str(row[name]) for name in columns]
    return "/".join(values) if any(values) else ""


def units_of(candidates: Sequence[Candidate]) -> dict[str, str]:
    """episode_id -> name of the unit that is split as one.

    Equal ids, pixels, numbers (`frames_sha256`) or groups tie episodes together, also by way of a third one. A unit is
    named by its first group, else by the first hash of its pixels: another episode of the same kind renames none.
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
    # A group goes before any hash, as a unit without one may get one later.
    names: dict[int, tuple[bool, str]] = {}
    for number, candidate in enumerate(candidates):
        unit, name = root(number), (not candidate.group, candidate.name)
        names[unit] = min(names.get(unit, name), name)
    return {candidate.episode_id: names[root(number)][1] for number, candidate in enumerate(candidates)}


def lot(unit: str, seed: int) -> float:
    """[0, 1), the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{unit}".encode()).digest()[:8], "big") / _SCALE


def deal(candidates: Sequence[Candidate], shares: Mapping[str, float], *, seed: int) -> dict[str, str]:
    """episode_id -> one of the names in `shares`, which add up to 1.

    Units fall by their lot, so that adding episodes moves none, unless they tie two units together. The order in which
    the shares are named does not matter.
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
