"""A dataset as a manifest sees it that holds out more of its episodes than the dataset itself does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from components.dataset.reader import Dataset
from components.dataset.splits import HELD_OUT, hold_out


class Resplit(Dataset):
    """The tree in all but the column `split`: the episodes `held_out` are on "val" there, whatever the tree says."""

    held_out: pa.Array = pa.array([], pa.string())

    @classmethod
    def open_with(cls, root: Path, held_out: pa.Array) -> Resplit:
        """`held_out`: ids; those that the tree does not have say nothing."""
        dataset = cls.open(root)
        dataset.held_out = held_out
        return dataset

    def table(self, columns: Sequence[str]) -> pa.Table:
        if "split" not in columns:
            return super().table(columns)
        wanted = list(dict.fromkeys([*columns, "episode_id"]))
        return hold_out(super().table(wanted), self.held_out).select(list(columns))

    def row(self, episode_index: int) -> dict[str, Any]:
        row = super().row(episode_index)
        is_held_out = pc.is_in(pa.scalar(row["episode_id"], pa.string()), value_set=self.held_out).as_py()
        return row | {"split": HELD_OUT} if is_held_out else row

    def verify(self) -> None:
        Dataset.open(self.root).verify()
