"""meta/gripline/sketches: what merges the quantiles of any episodes without reading a frame.

One row an episode, in the order of `Dataset.indices`; three columns a feature, so that a few features cost little.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.core.errors import DatasetError
from components.dataset.commit import resolve
from components.dataset.layout import PLACE_FEATURES, SKETCHES_PATH, Features
from components.dataset.parquet_rows import ParquetRows
from components.dataset.sketch import Sketch

if TYPE_CHECKING:
    from components.dataset.files import OpenFiles
    from components.dataset.reader import Dataset

# The numbers hardly repeat; one episode costs one small row group.
_GROUP_ROWS = 64
SKETCH_OPTIONS: dict[str, Any] = {
    "group_rows": _GROUP_ROWS,
    "compression": "zstd",
    "use_dictionary": False,
    "write_statistics": False,
}
Rows = npt.NDArray[np.int64]
_PARTS = {"sizes": pa.int32(), "keys": pa.int32(), "counts": pa.int64()}
_AGAIN = "Restore the tree or run ingest again"
_HEAD = SKETCHES_PATH.rsplit("chunk-", 1)[0]


def sketches_schema(features: Features) -> pa.Schema:
    """`<feature>/sizes`: buckets of each dimension; `<feature>/keys`, `<feature>/counts`: those of all, in order."""
    fields = [("episode_id", pa.string())]
    for key in measured_features(features):
        fields += [(f"{key}/{part}", pa.list_(kind)) for part, kind in _PARTS.items()]
    return pa.schema(fields)


def measured_features(features: Features) -> list[str]:
    """The features that have statistics over all episodes."""
    return [key for key in features if key not in PLACE_FEATURES]


def sketch_row(episode_id: str, sketches: Mapping[str, Sketch]) -> dict[str, Any]:
    """The row of an episode."""
    row: dict[str, Any] = {"episode_id": episode_id}
    for key, sketch in sketches.items():
        row |= {f"{key}/{part}": getattr(sketch, part) for part in _PARTS}
    return row


def write_sketches(files: OpenFiles, rows: Sequence[Mapping[str, Any]], features: Features) -> None:
    """Appends rows of `sketch_row`."""
    schema = sketches_schema(features)
    table = files.table(SKETCHES_PATH, schema, **SKETCH_OPTIONS)
    arrays = [pa.array([row[name] for row in rows], schema.field(name).type) for name in schema.names]
    written = pa.table(arrays, schema)
    for first in range(0, len(rows), _GROUP_ROWS):
        table.write(written.slice(first, _GROUP_ROWS))


def sketches_of(dataset: Dataset, episode_index: int) -> dict[str, Sketch]:
    """Feature -> sketch of one episode."""
    return dataset.sketches.one(episode_index)


class SketchFiles:
    """Reads the sketches of one dataset; raises `DatasetError` where they are not those of its episodes.

    Files stay open for a while. Several threads may ask at once.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._index, self._features, self._files = dataset.index, dataset.features, ParquetRows()
        self._paths = [resolve(dataset.root, name) for name in sorted(dataset.listed) if name.startswith(_HEAD)]
        # Where each file ends in the table of episodes, and each of the groups of all files.
        self._ends: list[int] = []
        self._group_ends, found = np.zeros(0, np.int64), 0
        for path in self._paths:
            self._group_ends = np.append(self._group_ends, found + self._files.group_ends(path))
            found = int(self._group_ends[-1]) if len(self._group_ends) else 0
            self._ends.append(found)
        if found != len(dataset):
            raise DatasetError(
                f"sketches of {found} episodes, there are {len(dataset)}", where=str(dataset.root), hint=_AGAIN
            )

    def one(self, episode_index: int) -> dict[str, Sketch]:
        """Feature -> sketch of one episode, all features; reads a group."""
        row = self._index.at(episode_index)
        at, start = self._file_of(row)
        # One id, not the ids of all episodes.
        ids = [self._index.row(row, ["episode_id"])["episode_id"]]
        (sketches,) = self._read(at, np.array([row - start]), ids, measured_features(self._features))
        return sketches

    def of(self, rows: Rows, keys: Sequence[str]) -> Iterator[dict[str, Sketch]]:
        """Feature -> sketch for each of the `rows` of the table of episodes, ascending; reads a group at a time."""
        ids = self._index.table(["episode_id"])["episode_id"]
        while len(rows):
            at, start = self._file_of(int(rows[0]))
            end = self._group_ends[np.searchsorted(self._group_ends, rows[0], side="right")]
            group, rows = np.split(rows, [np.searchsorted(rows, end)])
            # A slice of the column costs nothing; to take single rows joins all of it first.
            near = ids.slice(group[0], group[-1] + 1 - group[0]).combine_chunks()
            yield from self._read(at, group - start, near.take(group - group[0]).to_pylist(), keys)

    def _file_of(self, row: int) -> tuple[int, int]:
        """Which file holds a row of the table of episodes, and the first row that it holds."""
        at = bisect_right(self._ends, row)
        return at, self._ends[at - 1] if at else 0

    def _read(self, at: int, rows: Rows, ids: list[str], keys: Sequence[str]) -> Iterator[dict[str, Sketch]]:
        """Of ascending `rows` of one group of a file, which must be those of the episodes `ids`."""
        path, first, count = self._paths[at], int(rows[0]), int(rows[-1] - rows[0]) + 1
        columns = ["episode_id", *(f"{key}/{part}" for key in keys for part in _PARTS)]
        table = self._files.read(path, first, count, columns)
        # A commit may have put another file in its place since.
        found = table.take(rows - first) if table.num_rows == count else None
        if found is None or found["episode_id"].to_pylist() != ids:
            raise DatasetError("sketches of other episodes", where=str(path), hint=_AGAIN)
        return _sketches(found, keys, self._features)


def _sketches(table: pa.Table, keys: Sequence[str], features: Features) -> Iterator[dict[str, Sketch]]:
    """Of each row."""
    kinds = {key: "levels" if features[key]["dtype"] == "video" else "log" for key in keys}
    lists = {key: [_split(table[f"{key}/{part}"]) for part in _PARTS] for key in keys}
    for row in range(table.num_rows):
        yield {key: Sketch.from_lists(kinds[key], *(part[row] for part in lists[key])) for key in keys}


def _split(column: pa.ChunkedArray) -> list[npt.NDArray[Any]]:
    values = column.combine_chunks()
    return np.split(values.flatten().to_numpy(), values.offsets.to_numpy()[1:-1] - values.offsets[0].as_py())
