"""Closes the gaps that deleted episodes leave, for readers of the format that count episodes from 0 without one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.dataset import layout
from components.dataset.close import write_table
from components.dataset.columns import place_columns, stats_row
from components.dataset.commit import STAGED, publish, recover, resolve, stage_removal
from components.dataset.edits.plan import Places, Rows
from components.dataset.edits.sources import stage_edited
from components.dataset.lock import writing
from components.dataset.manifest import require_tree
from components.dataset.reader import Dataset
from components.dataset.resume import totals_of
from components.dataset.stats import numeric_stats
from components.dataset.tables import TableFile


@dataclass(frozen=True)
class Renumbering:
    """`moved`: episodes that have another number now; `closed`: numbers that nobody had; `data`: files that changed."""

    moved: int
    closed: int
    data: tuple[str, ...]
    digest: str


def renumber(root: Path) -> Renumbering:
    """Numbers the episodes of a tree 0, 1, 2 ... in their order, and the frames likewise; ids and digest stay.

    Rewrites the data files whose numbers change, and metadata; no video. Killed at any moment, the tree is the old one
    or the new one. Raises `Busy` where another process writes to it.
    """
    require_tree(root)
    with writing(root):
        recover(root)
        dataset = Dataset.open(root)
        closed = dataset.next_episode - len(dataset)
        if not closed:
            return Renumbering(0, 0, (), dataset.digest)
        numbering = _Numbering(dataset)
        try:
            data = numbering.stage_data()
            stage_removal(root, numbering.stage_rows())
            digest = numbering.stage_rest()
            publish(root)
        except BaseException:
            recover(root)
            raise
        return Renumbering(int((numbering.numbers != dataset.indices).sum()), closed, tuple(data), digest)


class _Numbering:
    """`numbers`, `starts`: int64 [N], what the episodes and their first frames will be."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.numbers: Rows = np.arange(len(dataset))
        self.starts: Rows = dataset.lengths.cumsum() - dataset.lengths
        self.places = Places(dataset, np.zeros(len(dataset), bool))
        old_starts = dataset.index.numbers("dataset_from_index")
        self.changed = (self.numbers != dataset.indices) | (self.starts != old_starts)

    def stage_data(self) -> list[str]:
        """Writes the data files that hold other numbers; returns their names."""
        files, root = self.places.files("data"), self.dataset.root
        names = []
        for file in np.unique(files[self.changed]).tolist():
            name = layout.DATA_PATH.format(**layout.place(file))
            self._write_data(resolve(root, name), np.flatnonzero(files == file), root / STAGED / name)
            names.append(name)
        return names

    def _write_data(self, source: Path, rows: Rows, target: Path) -> None:
        lengths = self.dataset.lengths[rows]
        inside = np.arange(lengths.sum()) - np.repeat(lengths.cumsum() - lengths, lengths)
        columns = {
            "episode_index": np.repeat(self.numbers[rows], lengths),
            "index": np.repeat(self.starts[rows], lengths) + inside,
        }
        with pq.ParquetFile(source) as file:
            written, first = TableFile(target, file.schema_arrow), 0
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                for name, values in columns.items():
                    part = pa.array(values[first : first + table.num_rows])
                    table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), part)
                written.write(table)
                first += table.num_rows
            written.close()

    def stage_rows(self) -> list[str]:
        """Writes the files of meta/episodes that change, without the rows of deleted episodes; returns those that hold
        nothing else.
        """
        emptied = []
        for name in sorted(name for name in self.dataset.listed if name.startswith("meta/episodes/")):
            table = pq.read_table(resolve(self.dataset.root, name))
            old = table["episode_index"].to_numpy()
            there = np.isin(old, self.dataset.indices)
            rows = np.searchsorted(self.dataset.indices, old[there])
            if there.all() and not self.changed[rows].any():
                continue
            if there.any():
                kept = self._renumbered(table.filter(pa.array(there)), rows)
                write_table(self.dataset.root / STAGED / name, kept)
            else:
                emptied.append(name)
        return emptied

    def _renumbered(self, table: pa.Table, rows: Rows) -> pa.Table:
        lengths = self.dataset.lengths[rows]
        columns: dict[str, pa.Array] = {
            "episode_index": pa.array(self.numbers[rows]),
            "dataset_from_index": pa.array(self.starts[rows]),
            "dataset_to_index": pa.array(self.starts[rows] + lengths),
        }
        stats = [self._place_stats(row) for row in rows.tolist()]
        for name in stats[0]:
            columns[name] = pa.array([one[name] for one in stats], table.schema.field(name).type)
        for name, values in columns.items():
            table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), values)
        return table

    def _place_stats(self, row: int) -> dict[str, list[float]]:
        """Statistics of the columns that change."""
        length, number, first = int(self.dataset.lengths[row]), int(self.numbers[row]), int(self.starts[row])
        columns = place_columns(length, episode_index=number, first=first, task_index=0)
        return stats_row({name: numeric_stats(columns[name]) for name in ("episode_index", "index")})

    def stage_rest(self) -> str:
        """The index and all that counts; returns the digest."""
        dataset = self.dataset
        self.places.columns |= {"episode_index": self.numbers, "dataset_from_index": self.starts}
        totals = totals_of(dataset)
        totals.next_episode, totals.next_frame = len(dataset), int(dataset.lengths.sum())
        totals.own_episodes = self.places.table()
        return stage_edited(dataset, totals)
