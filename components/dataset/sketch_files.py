"""meta/gripline/sketches: what merges the quantiles of any episodes without reading a frame.

One row an episode, in the order of `Dataset.indices`; three columns a feature, so that a few features cost little.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.core.errors import DatasetError
from components.dataset.commit import resolve
from components.dataset.layout import PLACE_FEATURES, SKETCHES_PATH, Features
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
    rows = np.array([dataset.index.at(episode_index)])
    return next(SketchFiles(dataset).of(rows, measured_features(dataset.features)))


class SketchFiles:
    """Reads the sketches of one dataset; raises `DatasetError` where they are not those of its episodes."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._paths = [resolve(dataset.root, name) for name in sorted(dataset.listed) if name.startswith(_HEAD)]
        self._ends = np.cumsum([_opened(path).metadata.num_rows for path in self._paths], dtype=np.int64)
        found = int(self._ends[-1]) if self._paths else 0
        if found != len(dataset):
            raise DatasetError(
                f"sketches of {found} episodes, there are {len(dataset)}", where=str(dataset.root), hint=_AGAIN
            )

    def of(self, rows: npt.NDArray[np.int64], keys: Sequence[str]) -> Iterator[dict[str, Sketch]]:
        """Feature -> sketch for each of the `rows` of the table of episodes, ascending; reads a group at a time."""
        ids = self._dataset.table(["episode_id"])["episode_id"]
        columns = ["episode_id", *(f"{key}/{part}" for key in keys for part in _PARTS)]
        for path, start, end in zip(self._paths, np.append(0, self._ends).tolist(), self._ends.tolist(), strict=False):
            inside = rows[(rows >= start) & (rows < end)]
            for wanted, table in _groups(path, inside - start, columns) if len(inside) else ():
                if table["episode_id"].to_pylist() != ids.take(wanted + start).to_pylist():
                    raise DatasetError("sketches of other episodes", where=str(path), hint=_AGAIN)
                yield from _sketches(table, keys, self._dataset.features)


def _groups(path: Path, rows: npt.NDArray[np.int64], columns: list[str]) -> Iterator[tuple[Any, pa.Table]]:
    """The wanted rows of each row group that has any, and what they hold."""
    file, start = _opened(path), 0
    for group in range(file.num_row_groups):
        end = start + file.metadata.row_group(group).num_rows
        inside = rows[(rows >= start) & (rows < end)]
        if len(inside):
            try:
                yield inside, file.read_row_group(group, columns=columns).take(inside - start)
            except (OSError, pa.ArrowException) as error:
                raise DatasetError(f"unreadable: {error}", where=str(path), hint=_AGAIN) from error
        start = end


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"unreadable: {error}", where=str(path), hint=_AGAIN) from error


def _sketches(table: pa.Table, keys: Sequence[str], features: Features) -> Iterator[dict[str, Sketch]]:
    """Of each row."""
    kinds = {key: "levels" if features[key]["dtype"] == "video" else "log" for key in keys}
    lists = {key: [_split(table[f"{key}/{part}"]) for part in _PARTS] for key in keys}
    for row in range(table.num_rows):
        yield {key: Sketch.from_lists(kinds[key], *(part[row] for part in lists[key])) for key in keys}


def _split(column: pa.ChunkedArray) -> list[npt.NDArray[Any]]:
    values = column.combine_chunks()
    return np.split(values.flatten().to_numpy(), values.offsets.to_numpy()[1:-1] - values.offsets[0].as_py())
