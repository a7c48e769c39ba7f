"""Some episodes of a dataset, by what its table says about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from components.core.errors import DatasetError, UsageError
from components.dataset.episode_table import COLUMNS, JUDGED, episodes_of, open_connection, read_verdicts
from components.dataset.expression import Expression, parse
from components.dataset.parts import Part

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


class NothingSelected(DatasetError):
    """No episode is left. `alone`: each of the conditions that AND joins -> how many episodes it would leave."""

    alone: Mapping[str, int] = MappingProxyType({})


def select(
    parts: Sequence[Part], where: str, verdicts: Path | None = None, *, unjudged: str = "verdict is not known here"
) -> list[Part]:
    """The parts with the episodes left for which `where` is true; parts without one are left out.

    `where`: one SQL expression over `episode_table.COLUMNS`, `verdicts`: verdicts.parquet, `unjudged`: what to say
    where the expression asks for them and there are none. Only the columns that it names are read. Raises `UsageError`
    for what is no such expression and `NothingSelected` where no episode is left.

    Example:
        select(parts_of(path), "embodiment = 'panda' and task like '%drawer%' and verdict = 'accepted'", verdicts)
    """
    expression = _parsed(where)
    judged = [name for name in JUDGED if name in expression.columns]
    if judged and verdicts is None:
        raise UsageError(unjudged, where=f"--where {where!r}", hint="Name verdicts.parquet with --verdicts")
    found = read_verdicts(verdicts) if judged and verdicts is not None else None
    with episodes_of(parts, expression.columns, found) as connection:
        rows = _ask(connection, f"SELECT part, row FROM episodes WHERE {expression.sql}", where)
        if not len(rows["row"]):
            raise _nothing_left(connection, expression, parts, where)
    return [kept for number, part in enumerate(parts) if (kept := _kept(part, rows["row"][rows["part"] == number]))]


def _parsed(where: str) -> Expression:
    connection = open_connection()
    try:
        return parse(where, COLUMNS, connection)
    finally:
        connection.close()


def _ask(connection: DuckDBPyConnection, sql: str, where: str) -> dict[str, Any]:
    """Raises `UsageError` where types do not fit: that shows when values meet."""
    import duckdb

    try:
        columns: dict[str, Any] = connection.execute(sql).fetchnumpy()
    except duckdb.Error as error:
        message = str(error).strip().splitlines()[0]
        raise UsageError(
            message, where=f"--where {where!r}", hint="Compare a column with a value of its type"
        ) from error
    return columns


def _kept(part: Part, rows: Any) -> Part | None:
    """`rows`: places in `dataset.indices`. The order of the part stays."""
    if not len(rows):
        return None
    chosen = np.zeros(len(part.dataset.indices), bool)
    chosen[rows] = True
    mine = np.searchsorted(part.dataset.indices, part.indices)
    return replace(part, indices=part.indices[chosen[mine]])


def _nothing_left(
    connection: DuckDBPyConnection, expression: Expression, parts: Sequence[Part], where: str
) -> NothingSelected:
    total = sum(len(part) for part in parts)
    sums = ", ".join(f"count(*) FILTER (WHERE {sql})" for sql in expression.conjuncts)
    counts = connection.execute(f"SELECT {sums} FROM episodes").fetchone() or ()
    alone = {sql: int(count) for sql, count in zip(expression.conjuncts, counts, strict=True)}
    hint = "Each condition alone leaves " + "; ".join(f"{sql}: {count}" for sql, count in alone.items())
    names = ", ".join(sorted({str(part.dataset.root) for part in parts}))
    error = NothingSelected(
        f"none of {total} episodes fits {where!r}", where=names, hint=hint if len(expression.conjuncts) > 1 else None
    )
    error.alone = alone
    return error
