"""Which episodes are held out. A function of the episodes alone: order and company do not matter."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

_SCALE = float(1 << 64)


@dataclass(frozen=True)
class Candidate:
    """What the split looks at. `group`: episodes of one non-empty group stay together (a robot, a collector)."""

    episode_id: str
    pixel_sha256: str
    task: str
    group: str = ""


def assign(candidates: Sequence[Candidate], *, val_share: float, seed: int) -> dict[str, str]:
    """episode_id -> "train" or "val".

    Episodes with the same pixels, or of one group, share a fate, which is a seeded hash of theirs against `val_share`:
    adding episodes later moves none that are there, unless they tie two groups together. A task that this leaves
    without a held-out episode (it happens to small ones) gives up the unit with the smallest hash, where it has
    another one to train on.
    """
    units = _units(candidates)
    lot = {unit: _lot(unit, seed) for unit in set(units.values())}
    held_out = {unit for unit in lot if lot[unit] < val_share}
    if val_share > 0:
        for task in sorted({candidate.task for candidate in candidates}):
            of_task = {units[c.episode_id] for c in candidates if c.task == task}
            if len(of_task) > 1 and not of_task & held_out:
                held_out.add(min(of_task, key=lambda unit: (lot[unit], unit)))
    return {c.episode_id: "val" if units[c.episode_id] in held_out else "train" for c in candidates}


def _lot(unit: str, seed: int) -> float:
    """[0, 1), the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{unit}".encode()).digest()[:8], "big") / _SCALE


def _units(candidates: Sequence[Candidate]) -> dict[str, str]:
    """episode_id -> name of the unit that is split as one: its first group, else the hash of its pixels."""
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        while parent.setdefault(node, node) != node:
            node = parent[node]
        return node

    for candidate in candidates:
        if candidate.group:
            parent[root(f"group {candidate.group}")] = root(candidate.pixel_sha256)
    names: dict[str, str] = {}
    for candidate in candidates:
        unit, name = root(candidate.pixel_sha256), candidate.group or candidate.pixel_sha256
        names[unit] = min(names.get(unit, name), name)
    return {candidate.episode_id: names[root(candidate.pixel_sha256)] for candidate in candidates}
