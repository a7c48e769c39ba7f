"""Some rows of parquet files, for several threads at once; files stay open while they are in use."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.core.errors import DatasetError
from components.dataset.commit import settled

_AGAIN = "Restore it or run ingest again"


def as_numpy(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """A column as an array, lists of fixed size one after the other; not to be written to."""
    # Joining would copy a single chunk, too.
    values = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if pa.types.is_fixed_size_list(values.type):
        values = values.flatten()
    if values.null_count or not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        array: npt.NDArray[Any] = values.to_numpy(zero_copy_only=False)
        return array
    # `to_numpy` would import pandas, which takes as long as opening a large dataset.
    array = np.from_dlpack(values)
    array.flags.writeable = False
    return array


class ParquetRows:
    """Reads rows from the row groups that hold them; keeps the last `limit` files open."""

    def __init__(self, limit: int = 16) -> None:
        self._limit = limit
        self._lock = Lock()
        self._files: OrderedDict[Path, OpenParquet] = OrderedDict()

    def read(self, path: Path, first: int, count: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows `first` to `first + count` of a file, fewer where it ends before; all columns or those named.

        Raises `DatasetError` where the file cannot be read or lacks a column.
        """
        try:
            return self._open(path).read(first, count, columns)
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(f"unreadable: {error}", where=str(path), hint=_AGAIN) from error

    def group_ends(self, path: Path) -> npt.NDArray[np.int64]:
        """Where each row group of a file ends; the last ends where the file does. Raises `DatasetError` as `read`."""
        try:
            return self._open(path).group_ends
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(f"unreadable: {error}", where=str(path), hint=_AGAIN) from error

    def _open(self, path: Path) -> OpenParquet:
        with self._lock:
            file = self._files.get(path)
        # Opened outside of the lock: other threads read other files meanwhile.
        file = file or settled(path, OpenParquet)
        with self._lock:
            file = self._files.pop(path, file)
            self._files[path] = file
            # Threads that still read from one that is dropped here hold on to it until they are done.
            if len(self._files) > self._limit:
                self._files.popitem(last=False)
        return file


class OpenParquet:
    """One open file; one thread reads at a time. Raises `OSError` or `ArrowException` where it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        self._file = pq.ParquetFile(path, memory_map=False, pre_buffer=False)
        metadata = self._file.metadata
        groups = (metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))
        self.group_ends = np.cumsum(np.fromiter(groups, np.int64, metadata.num_row_groups))
        self.rows: int = metadata.num_rows
        self.names: tuple[str, ...] = tuple(self._file.schema_arrow.names)

    def read(self, first: int, count: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Some rows; raises `DatasetError` naming the columns that are not there."""
        names = self._known(columns)
        groups = self.groups_of(first, count)
        start = int(self.group_ends[groups.start - 1]) if groups.start else 0
        with self._lock:
            table = self._file.read_row_groups(list(groups), columns=names, use_threads=False)
        # A name also brings what begins with it and a dot.
        return table.select(names).slice(first - start, count)

    def read_all(self, columns: Sequence[str]) -> pa.Table:
        """Every row of some columns."""
        names = self._known(columns)
        with self._lock:
            return self._file.read(columns=names, use_threads=False).select(names)

    def groups_of(self, first: int, count: int) -> range:
        """The row groups that hold some rows."""
        start = int(np.searchsorted(self.group_ends, first, side="right"))
        stop = int(np.searchsorted(self.group_ends, first + count, side="left")) + 1
        return range(start, min(stop, len(self.group_ends)) if count else start)

    def _known(self, columns: Sequence[str] | None) -> list[str]:
        names = list(self.names if columns is None else columns)
        if missing := sorted(set(names) - set(self.names)):
            raise DatasetError(f"lacks the columns {', '.join(missing)}", where=str(self.path), hint=_AGAIN)
        return names
