"""Which episodes are held out. A function of the episodes alone; their order does not matter."""

from __future__ import annotations

from collections.abc import Sequence

from components.dataset.splits import Candidate, lot, units_of


def assign(candidates: Sequence[Candidate], *, val_share: float, seed: int) -> dict[str, str]:
    """episode_id -> "train" or "val".

    Episodes with the same pixels or the same numbers, or of one group, share a fate: the lot of their unit, a seeded
    hash of its group or its smallest id, against `val_share`. Adding episodes later moves none that such a lot holds
    out or not, but where one that is tied to them gives their unit another name.

    A task that this leaves without a held-out episode (it happens to small ones) gives up the unit with the smallest
    lot, where it has another one to train on. Which one that is may change with every episode that is added, until
    one of the task is held out by its lot alone.
    """
    units = units_of(candidates)
    lots = {unit: lot(unit, seed) for unit in set(units.values())}
    held_out = {unit for unit in lots if lots[unit] < val_share}
    if val_share > 0:
        for task in sorted({candidate.task for candidate in candidates}):
            of_task = {units[c.episode_id] for c in candidates if c.task == task}
            if len(of_task) > 1 and not of_task & held_out:
                held_out.add(min(of_task, key=lambda unit: (lots[unit], unit)))
    return {c.episode_id: "val" if units[c.episode_id] in held_out else "train" for c in candidates}
