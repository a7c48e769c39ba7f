"""meta/episodes after a deletion: a row keeps the place of each episode that is gone, and says nothing about it.

LeRobot looks episodes up by the position of their row, so the others must not move up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.dataset import layout
from components.dataset.close import write_table
from components.dataset.commit import resolve
from components.dataset.edits.plan import Places
from components.dataset.index_schema import video_prefix

# What a row without an episode keeps: its own place.
_KEPT = ("episode_index", "dataset_from_index", "meta/episodes/chunk_index", "meta/episodes/file_index")


def rewrite_metadata(places: Places, before: Places, staged: Path) -> list[str]:
    """Writes the files of meta/episodes that hold episodes that go, or that moved; returns their names."""
    changed = places.doomed.copy()
    for name, values in places.columns.items():
        changed |= values != before.columns[name]
    names = []
    for number in np.unique(places.files("meta/episodes")[changed]).tolist():
        name = layout.EPISODES_PATH.format(**layout.place(number))
        table = pq.read_table(resolve(places.dataset.root, name))
        write_table(staged / name, _rewritten(table, places))
        names.append(name)
    return names


def _rewritten(table: pa.Table, places: Places) -> pa.Table:
    indices = places.dataset.indices
    numbers = table["episode_index"].to_numpy()
    rows = np.minimum(np.searchsorted(indices, numbers), len(indices) - 1)
    known = indices[rows] == numbers
    live = np.flatnonzero(known & ~places.doomed[rows])
    for name, values in _their_columns(places).items():
        column = table[name].to_numpy().copy()
        column[live] = values[rows[live]]
        table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), pa.array(column))
    gone = np.flatnonzero(known & places.doomed[rows])
    return _replaced(table, gone)


def _their_columns(places: Places) -> dict[str, npt.NDArray[Any]]:
    """Columns of meta/episodes as they follow from the places, one value a row of the index."""
    dataset = places.dataset
    columns: dict[str, npt.NDArray[Any]] = {}
    for prefix in ("data", *map(video_prefix, layout.video_keys(dataset.features))):
        columns |= {f"{prefix}/{name}": places.columns[f"{prefix}/{name}"] for name in ("chunk_index", "file_index")}
        if prefix != "data":
            first = places.columns[f"{prefix}/first_frame"].astype(np.int64)
            columns[f"{prefix}/from_timestamp"] = first / dataset.fps
            columns[f"{prefix}/to_timestamp"] = (first + dataset.lengths) / dataset.fps
    return columns


def _replaced(table: pa.Table, gone: npt.NDArray[np.int64]) -> pa.Table:
    """The table with tombstones in the rows `gone`."""
    if not len(gone):
        return table
    stones = pa.Table.from_pylist([_tombstone(row) for row in table.take(pa.array(gone)).to_pylist()], table.schema)
    order = np.arange(table.num_rows)
    order[gone] = table.num_rows + np.arange(len(gone))
    return pa.concat_tables([table, stones]).take(pa.array(order)).combine_chunks()


def _tombstone(row: dict[str, Any]) -> dict[str, Any]:
    kept = {name: row[name] for name in _KEPT}
    return (
        {name: _nothing(value) for name, value in row.items()}
        | kept
        | {
            "tasks": [],
            "dataset_to_index": row["dataset_from_index"],
        }
    )


def _nothing(value: Any) -> Any:
    """Zeros of the same shape."""
    return [_nothing(part) for part in value] if isinstance(value, list) else type(value)(0)
