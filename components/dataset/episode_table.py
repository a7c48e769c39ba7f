"""The episodes of some parts as one table that DuckDB can be asked about; columns are read when they are named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.core.errors import InputError
from components.dataset.index_schema import EPISODE_COLUMNS
from components.dataset.parts import Part

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Of the part: its name; frames over the rate of the dataset.
DERIVED = ("dataset", "duration_s")
# Of verdicts.parquet; null where an episode has none.
JUDGED = ("verdict", "codes", "quality")
COLUMNS = (*EPISODE_COLUMNS, *DERIVED, *JUDGED)

_VERDICTS_SCHEMA = pa.schema(
    [
        ("episode_id", pa.string()),
        ("verdict", pa.string()),
        ("codes", pa.list_(pa.string())),
        ("quality", pa.float64()),
    ]
)


def read_verdicts(path: Path) -> pa.Table:
    """verdicts.parquet: episode_id, verdict, codes, quality. Raises `InputError` where it is none.

    An older file has no quality; it is null then.
    """
    try:
        table = pq.read_table(path)
        if "quality" not in table.column_names:
            table = table.append_column("quality", pa.nulls(len(table), pa.float64()))
        table = table.select(_VERDICTS_SCHEMA.names).cast(_VERDICTS_SCHEMA)
    except FileNotFoundError as error:
        raise InputError("no such file", where=str(path), hint="Run `gripline check` first") from error
    except (OSError, pa.ArrowException, ValueError, KeyError) as error:
        raise InputError(f"no verdicts: {error}", where=str(path), hint="Run `gripline check` again") from error
    if pc.count_distinct(table["episode_id"]).as_py() != len(table):
        raise InputError("an episode has two verdicts", where=str(path), hint="Run `gripline check` again")
    return table


def open_connection() -> DuckDBPyConnection:
    """A DuckDB of one's own, in memory, that opens no file and loads nothing."""
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    settings |= {"enable_external_access": "false", "python_enable_replacements": "false"}
    connection = duckdb.connect(":memory:", config=settings)
    # Times with a zone are compared alike on every machine.
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET lock_configuration = true")
    return connection


@contextmanager
def episodes_of(
    parts: Sequence[Part], columns: Sequence[str], verdicts: pa.Table | None = None
) -> Iterator[DuckDBPyConnection]:
    """A connection with the table `episodes`: `columns`, and `part` and `row`, one row an episode.

    `part`: number in `parts`; `row`: its place in `Part.dataset.indices`. `columns` are some of `COLUMNS`.
    """
    connection = open_connection()
    try:
        wanted = [name for name in columns if name not in JUDGED]
        judged = [name for name in JUDGED if name in columns]
        if judged and "episode_id" not in wanted:
            wanted.append("episode_id")
        tables = [_rows(number, part, wanted) for number, part in enumerate(parts)]
        connection.register("own_rows", pa.concat_tables(tables))
        connection.register("verdicts", _VERDICTS_SCHEMA.empty_table() if verdicts is None else verdicts)
        join = "LEFT JOIN verdicts v USING (episode_id)" if judged else ""
        picked = "".join(f", v.{name}" for name in judged)
        connection.execute(f"CREATE VIEW episodes AS SELECT o.*{picked} FROM own_rows o {join}")
        yield connection
    finally:
        connection.close()


def query(connection: DuckDBPyConnection, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """The rows of an answer by column name; for answers that are short."""
    answer = connection.execute(sql, list(values))
    names = [column[0] for column in answer.description]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def _rows(number: int, part: Part, columns: Sequence[str]) -> pa.Table:
    """The episodes of a part by episode_index."""
    stored = [name for name in columns if name in EPISODE_COLUMNS]
    # Without a column there is no count of rows.
    table = part.dataset.table(stored or ["length"])
    table = pa.table({name: _plain(table[name]) for name in table.column_names})
    rows = np.arange(len(table))
    if len(part) != len(table):
        rows = np.searchsorted(part.dataset.indices, np.sort(part.indices))
        table = table.take(pa.array(rows))
    for name in columns:
        if name == "dataset":
            table = table.append_column(name, pa.repeat(part.name, len(table)))
        elif name == "duration_s":
            table = table.append_column(name, pa.array(part.dataset.lengths[rows] / part.dataset.fps))
    kept = table.select([name for name in columns if name in table.column_names])
    kept = kept.append_column("part", pa.repeat(pa.scalar(number, pa.int32()), len(table)))
    return kept.append_column("row", pa.array(rows, pa.int64()))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """DuckDB takes a dictionary for an enumeration, which equals no other word and matches no pattern."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
