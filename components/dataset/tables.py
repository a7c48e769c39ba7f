"""Parquet files written one row group at a time, so that memory holds one row group and never a file."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from components.dataset.layout import place


class TableFile:
    """One parquet file under way; `size` is its bytes so far."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.rows = 0
        self.schema = schema
        self._stream: BinaryIO = path.open("wb")
        self._writer = pq.ParquetWriter(self._stream, schema, compression="snappy", use_dictionary=True)

    @property
    def size(self) -> int:
        return self._stream.tell()

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table)
        self.rows += table.num_rows

    def will_reach(self, rows: int, limit_bytes: int) -> bool:
        """Whether `rows` more rows of average size would reach the limit."""
        return bool(self.rows) and self.size + self.size / self.rows * rows >= limit_bytes

    def close(self) -> None:
        self._writer.close()
        self._stream.close()


class RollingTable:
    """Parquet files of one kind, `template` numbered from `first`; the next one opens where the limit would be met.

    `next`: number of the next file to open.
    """

    def __init__(self, root: Path, template: str, schema: pa.Schema, limit_bytes: int, first: int = 0) -> None:
        self._root = root
        self._template = template
        self._schema = schema
        self._limit_bytes = limit_bytes
        self.next = first
        self._file: TableFile | None = None

    def reserve(self, rows: int) -> dict[str, int]:
        """Chunk and file index under which the next `rows` rows will lie."""
        if self._file is not None and self._file.will_reach(rows, self._limit_bytes):
            self._file.close()
            self._file = None
        if self._file is None:
            self._file = TableFile(self._root / self._template.format(**place(self.next)), self._schema)
            self.next += 1
        return place(self.next - 1)

    def write(self, table: pa.Table) -> dict[str, int]:
        """Writes `table` as one row group and says where."""
        where = self.reserve(table.num_rows)
        assert self._file is not None
        self._file.write(table)
        return where

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
