"""Parquet files from anywhere: bounded, read in batches so that memory does not grow with them, errors with a place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.core.errors import FormatError
from components.formats.assemble import library_errors
from components.formats.lerobot.info import LFS_POINTER

_MAGIC = b"PAR1"
# Rows of numbers that are held at once, and rows that hold pictures.
BATCH_ROWS = 4096
PICTURE_ROWS = 16
_BUFFER_BYTES = 1 << 20
_MAX_ROWS = 1 << 32
_MAX_RUNS = 1 << 20
_MAX_THRIFT = 1 << 26


@dataclass(frozen=True)
class Rows:
    """Some rows of a file: `spans` of (row group, first, last + 1) in it."""

    path: Path
    spans: tuple[tuple[int, int, int], ...]

    def __len__(self) -> int:
        return sum(stop - start for _, start, stop in self.spans)


@contextmanager
def opened(path: Path, *, where: str, code: str = "bad_table") -> Iterator[pq.ParquetFile]:
    """Raises `FormatError`: unreadable, missing_file, empty, lfs_pointer, truncated, too_large; `code` for all else."""
    _require_parquet(path, where, code)
    with library_errors(where, code=code):
        # Never mapped into memory: a file that shrinks under a map ends the process.
        file = pq.ParquetFile(
            path,
            memory_map=False,
            pre_buffer=False,
            buffer_size=_BUFFER_BYTES,
            thrift_string_size_limit=_MAX_THRIFT,
            thrift_container_size_limit=_MAX_THRIFT,
            page_checksum_verification=True,
        )
        with file:
            if not 0 <= file.metadata.num_rows <= _MAX_ROWS:
                raise FormatError(f"claims {file.metadata.num_rows} rows", where=where, code="too_large")
            yield file


def require_content(path: Path, *, where: str) -> bytes:
    """The first bytes of a file. Raises `FormatError` (missing_file, unreadable, empty, lfs_pointer)."""
    try:
        with path.open("rb") as stream:
            head = stream.read(len(LFS_POINTER))
    except FileNotFoundError as error:
        raise FormatError(
            "the file is missing", where=where, hint="Copy the tree again", code="missing_file"
        ) from error
    except OSError as error:
        raise FormatError(f"cannot be opened ({error.strerror})", where=where, code="unreadable") from error
    if not head:
        raise FormatError("the file is empty", where=where, hint="Copy it again", code="empty")
    if head.startswith(LFS_POINTER):
        raise FormatError(
            "a git-LFS pointer instead of the file", where=where, hint="Run `git lfs pull`", code="lfs_pointer"
        )
    return head


def _require_parquet(path: Path, where: str, code: str) -> None:
    head = require_content(path, where=where)
    if not head.startswith(_MAGIC):
        raise FormatError(f"is no Parquet file; it begins with {head[:4]!r}", where=where, code=code)
    with path.open("rb") as stream:
        stream.seek(-min(len(_MAGIC), path.stat().st_size), 2)
        tail = stream.read()
    if tail != _MAGIC:
        raise FormatError("the end is missing", where=where, hint="Copy it again", code="truncated")


def batches(
    file: pq.ParquetFile, groups: Sequence[int], columns: Sequence[str], *, rows: int = BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """Batches of the columns that are there, of some row groups, in order."""
    there = [name for name in columns if name in file.schema_arrow.names]
    if not there:
        raise FormatError(f"has none of the columns {', '.join(columns)}", code="missing_column")
    yield from file.iter_batches(batch_size=rows, row_groups=list(groups), columns=there, use_threads=False)


def row_batches(
    rows: Rows, columns: Sequence[str], *, where: str, batch_rows: int = BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """The wanted rows alone, in order. Raises `FormatError` as `opened` does; `truncated` where rows are missing."""
    with opened(rows.path, where=where) as file:
        for group, start, stop in rows.spans:
            position = 0
            for batch in batches(file, [group], columns, rows=batch_rows):
                first, last = max(start - position, 0), min(stop - position, batch.num_rows)
                position += batch.num_rows
                if first < last:
                    yield batch.slice(first, last - first)
                if position >= stop:
                    break
            if position < stop:
                raise FormatError(f"row group {group} ends after {position} rows", where=where, code="truncated")


def all_rows(path: Path, *, where: str) -> Rows:
    """Every row of a file."""
    with opened(path, where=where) as file:
        counts = [_group_rows(file, group, where) for group in range(file.num_row_groups)]
    return Rows(path, tuple((group, 0, count) for group, count in enumerate(counts) if count))


def rows_of_episode(path: Path, episode: int, *, where: str) -> Rows:
    """The rows whose `episode_index` is `episode`."""
    status = path.stat() if path.is_file() else None
    key = (status.st_size, status.st_mtime_ns) if status else (0, 0)
    return Rows(path, _runs(path, key, where).get(episode, ()))


@lru_cache(maxsize=4)
def _runs(path: Path, _key: tuple[int, int], where: str) -> dict[int, tuple[tuple[int, int, int], ...]]:
    """Where each episode of a file lies; reads one column, once."""
    runs: dict[int, list[tuple[int, int, int]]] = {}
    count = 0
    with opened(path, where=where) as file:
        if "episode_index" not in file.schema_arrow.names:
            raise FormatError("has no column 'episode_index'", where=where, code="missing_column")
        for group in range(file.num_row_groups):
            _group_rows(file, group, where)
            position = 0
            for batch in batches(file, [group], ["episode_index"]):
                for episode, start, stop in _equal_spans(_integers(batch, where)):
                    _extend(runs.setdefault(episode, []), (group, position + start, position + stop))
                    count += 1
                position += batch.num_rows
                if count > _MAX_RUNS:
                    raise FormatError("its episodes alternate row by row", where=where, code="bad_table")
    return {episode: tuple(spans) for episode, spans in runs.items()}


def _group_rows(file: pq.ParquetFile, group: int, where: str) -> int:
    count: int = file.metadata.row_group(group).num_rows
    if not 0 <= count <= _MAX_ROWS:
        raise FormatError(f"row group {group} claims {count} rows", where=where, code="too_large")
    return count


def _integers(batch: pa.RecordBatch, where: str) -> np.ndarray[Any, Any]:
    column = batch.column("episode_index")
    if not pa.types.is_integer(column.type) or column.null_count:
        raise FormatError(f"'episode_index' is {column.type}, expected integers", where=where, code="bad_table")
    return column.to_numpy(zero_copy_only=False)


def _equal_spans(values: np.ndarray[Any, Any]) -> Iterator[tuple[int, int, int]]:
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    for start, stop in pairwise(edges):
        if start < stop:
            yield int(values[start]), start, stop


def _extend(spans: list[tuple[int, int, int]], span: tuple[int, int, int]) -> None:
    """Adds a span; one that goes on where the last one ended makes it longer."""
    if spans and spans[-1][0] == span[0] and spans[-1][2] == span[1]:
        spans[-1] = (span[0], spans[-1][1], span[2])
    else:
        spans.append(span)
