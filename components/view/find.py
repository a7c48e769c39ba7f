"""One episode of a dataset or manifest, by its number, its id or the beginning of its id."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from components.core.errors import DatasetError
from components.dataset.episode_table import read_verdicts
from components.dataset.parts import Part
from components.dataset.reader import Dataset

_NUMBER = re.compile("0|[1-9][0-9]{0,8}")
# Ids that are named where more than one is meant.
_ENOUGH = 3


@dataclass(frozen=True, eq=False)
class Chosen:
    """`row`: what the table of episodes says; `verdict`: "" where there is none; `codes`: what the checks found."""

    dataset: Dataset
    index: int
    row: dict[str, Any]
    verdict: str = ""
    codes: tuple[str, ...] = ()

    @property
    def episode_id(self) -> str:
        return str(self.row["episode_id"])


def find_episode(parts: Sequence[Part], episode: str, *, where: str, verdicts: Path | None = None) -> Chosen:
    """`episode`: a number where there is one dataset, an id, or the beginning of one.

    Raises `DatasetError` where there is no such episode, or more than one.
    """
    part, index = _place(parts, episode, where)
    chosen = Chosen(part.dataset, index, part.dataset.row(index))
    if verdicts is None:
        return chosen
    table = read_verdicts(verdicts)
    found = table.filter(pc.equal(table["episode_id"], chosen.episode_id)).to_pylist()
    return replace(chosen, verdict=found[0]["verdict"], codes=tuple(found[0]["codes"] or ())) if found else chosen


def _place(parts: Sequence[Part], episode: str, where: str) -> tuple[Part, int]:
    # An id can begin with digits alone, so a number is one only where the dataset has it.
    if len(parts) == 1 and _NUMBER.fullmatch(episode) and int(episode) in parts[0].indices:
        return parts[0], int(episode)
    found: dict[str, tuple[Part, int]] = {}
    for part in parts:
        ids = part.dataset.table(["episode_id"])["episode_id"]
        rows = np.flatnonzero(pc.starts_with(ids, pattern=episode).to_numpy())
        for row in rows[np.isin(part.dataset.indices[rows], part.indices)][:_ENOUGH].tolist():
            found.setdefault(str(ids[row].as_py()), (part, int(part.dataset.indices[row])))
    if len(found) > 1:
        raise DatasetError(
            f"more than one episode begins with {episode!r}: {', '.join(sorted(found)[:_ENOUGH])}",
            where=where,
            hint="Write more of the id",
        )
    if not found:
        number = "its number, " if len(parts) == 1 else ""
        raise DatasetError(f"no episode {episode!r}", where=where, hint=f"Give {number}its id or how that begins")
    return next(iter(found.values()))
