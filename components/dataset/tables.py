"""Parquet files written one row group at a time, so that memory holds one row group and never a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from components.dataset.layout import place

# A row group for each short episode would make the index at the end of a file slow to read.
_GROUP_ROWS = 1024


class TableFile:
    """One parquet file under way; `size` is its bytes so far, `rows` counts those that wait for their group too."""

    def __init__(self, path: Path, schema: pa.Schema, *, group_rows: int = _GROUP_ROWS, **options: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.rows = 0
        self.schema = schema
        self._group_rows = group_rows
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self._stream: BinaryIO = path.open("wb")
        options = {"compression": "snappy", "use_dictionary": True, **options}
        self._writer = pq.ParquetWriter(self._stream, schema, **options)

    @property
    def size(self) -> int:
        return self._stream.tell()

    def write(self, table: pa.Table) -> None:
        self._waiting.append(table)
        self._waiting_rows += table.num_rows
        self.rows += table.num_rows
        if self._waiting_rows >= self._group_rows:
            self._flush()

    def will_reach(self, rows: int, limit_bytes: int) -> bool:
        """Whether the rows that wait and `rows` more, all of average size, would reach the limit."""
        if not self.rows:
            return False
        self._flush_first()
        written = self.rows - self._waiting_rows
        return self.size + self.size / written * (self._waiting_rows + rows) >= limit_bytes

    def close(self) -> None:
        self._flush()
        self._writer.close()
        self._stream.close()

    def _flush_first(self) -> None:
        """What a row takes is known from the first group on."""
        if self.rows == self._waiting_rows:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=max(self._waiting_rows, 1))
        self._waiting, self._waiting_rows = [], 0


class RollingTable:
    """Parquet files of one kind, `template` numbered from `first`; the next one opens where the limit would be met.

    `next`: number of the next file to open; `options`: of each `TableFile`.
    """

    def __init__(
        self, root: Path, template: str, schema: pa.Schema, limit_bytes: int, first: int = 0, **options: Any
    ) -> None:
        self._root = root
        self._template = template
        self._schema = schema
        self._limit_bytes = limit_bytes
        self.next = first
        self._options = options
        self._file: TableFile | None = None

    def reserve(self, rows: int) -> tuple[dict[str, int], int]:
        """Chunk and file index under which the next `rows` rows will lie, and the first of them in that file."""
        if self._file is not None and self._file.will_reach(rows, self._limit_bytes):
            self._file.close()
            self._file = None
        if self._file is None:
            path = self._root / self._template.format(**place(self.next))
            self._file = TableFile(path, self._schema, **self._options)
            self.next += 1
        return place(self.next - 1), self._file.rows

    def write(self, table: pa.Table) -> tuple[dict[str, int], int]:
        """Writes `table` and says where, as `reserve` does; small ones share a row group."""
        where = self.reserve(table.num_rows)
        assert self._file is not None
        self._file.write(table)
        return where

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
