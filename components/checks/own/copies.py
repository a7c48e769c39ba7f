"""Recordings that the dataset holds more than once, also trimmed or encoded again, and on which sides of the split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from components.checks.own.rows import Rows

Ints = npt.NDArray[np.int64]

# Hashes of commands that two episodes must share, and the share of the shorter one's. Two runs of one scripted expert
# in scenes that are nearly alike share up to a third; by chance episodes share none.
_SHARED = 3
_ALIKE = 0.4
# A hash that more episodes have says nothing: a robot that always begins in one way.
_COMMON = 64


def copies(rows: Rows, idle_motion: float) -> dict[str, list[str]]:
    """`duplicate_of` [N]: id of the episode of the same recording that was recorded first, or "".

    `leak_of`: id of one on the other side of the split, for all but the first. Arms that stand still all move alike,
    so motion counts only from `idle_motion` on.
    """
    order = np.lexsort([rows.text("episode_id"), rows.text("source_uri"), rows.text("recorded_at")])
    ids, splits = rows.text("episode_id"), rows.text("split")
    group = _joined(len(rows), order, _links(rows, idle_motion))
    twins: dict[int, list[int]] = defaultdict(list)
    for row in order.tolist():
        twins[int(group[row])].append(row)
    duplicate_of, leak_of = [""] * len(rows), [""] * len(rows)
    for first, *others in twins.values():
        for row in others:
            duplicate_of[row] = ids[first]
            across = [other for other in (first, *others) if splits[other] != splits[row]]
            leak_of[row] = ids[across[0]] if across else ""
    return {"duplicate_of": duplicate_of, "leak_of": leak_of}


def _links(rows: Rows, idle_motion: float) -> Iterable[tuple[Ints, Ints]]:
    """Pairs of rows that are the same recording."""
    moves = rows.number("motion") >= idle_motion
    everything = np.arange(len(rows))
    if rows.body.observation.cameras or rows.body.observation.depth:
        yield _equal(rows.groups("pixel_sha256"), everything)
    yield _equal(rows.groups("motion_sha256")[moves], everything[moves])
    yield _alike(rows)


def _equal(codes: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """Each row with the next one of the same code."""
    order = np.argsort(codes, kind="stable")
    same = np.flatnonzero(codes[order][1:] == codes[order][:-1])
    return rows[order[same]], rows[order[same + 1]]


def _alike(rows: Rows) -> tuple[Ints, Ints]:
    """Pairs whose fingerprints share enough of their hashes."""
    lists = rows.table["fingerprint"].combine_chunks()
    owner = pc.list_parent_indices(lists).to_numpy().astype(np.int64)
    hashes = lists.flatten().to_numpy()
    order = np.lexsort([owner, hashes])
    hashes, owner = hashes[order], owner[order]
    starts = np.flatnonzero(np.concatenate([[True], hashes[1:] != hashes[:-1]])) if len(hashes) else np.zeros(0, int)
    uses = np.diff(np.concatenate([starts, [len(hashes)]]))
    pairs: list[tuple[int, int]] = []
    for start, size in zip(starts[uses > 1].tolist(), uses[uses > 1].tolist(), strict=True):
        if size <= _COMMON:
            sharing = owner[start : start + size].tolist()
            pairs += [(one, other) for number, one in enumerate(sharing) for other in sharing[number + 1 :]]
    if not pairs:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    found, counts = np.unique(np.array(pairs, np.int64), axis=0, return_counts=True)
    sizes = np.bincount(owner, minlength=len(rows))
    alike = found[counts >= np.maximum(_SHARED, _ALIKE * sizes[found].min(axis=1))]
    return alike[:, 0], alike[:, 1]


def _joined(count: int, order: Ints, links: Iterable[tuple[Ints, Ints]]) -> Ints:
    """Number of the group of each row, where links are followed as far as they go."""
    parent = list(range(count))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for ones, others in links:
        for one, other in zip(ones.tolist(), others.tolist(), strict=True):
            parent[root(other)] = root(one)
    return np.array([root(row) for row in range(count)], np.int64)
