"""Episodes that a dataset holds twice: the same id in two members, the same pictures, the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from components.dataset.episode_table import episodes_of, query
from components.dataset.parts import Part

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MARKS = {"episode_id": "the same id", "pixel_sha256": "the same pictures", "frames_sha256": "the same numbers"}
MOST_LISTED = 10


def doubles(parts: Sequence[Part]) -> dict[str, dict[str, Any]]:
    """Mark -> groups of episodes that share it, and the ids of the first of them.

    `surplus`: episodes beyond the first of each group; `across`: groups on more than one side of the split.
    """
    return {mark: _of(parts, mark) for mark in MARKS}


def _of(parts: Sequence[Part], mark: str) -> dict[str, Any]:
    # One mark at a time: three columns of a million hashes each would be half a gigabyte.
    columns = dict.fromkeys((mark, "split", "episode_id"))
    with episodes_of(parts, list(columns)) as connection:
        connection.execute(
            f"CREATE TABLE twice AS SELECT {mark} AS mark, count(*) AS episodes,"
            f" count(DISTINCT split) AS splits FROM episodes WHERE {mark} <> '' GROUP BY {mark} HAVING count(*) > 1"
        )
        (counts,) = query(
            connection,
            "SELECT count(*) AS groups, coalesce(sum(episodes - 1), 0)::BIGINT AS surplus,"
            " count(*) FILTER (WHERE splits > 1) AS across FROM twice",
        )
        return {**counts, "first": _first(connection, mark)}


def _first(connection: DuckDBPyConnection, mark: str) -> list[list[str]]:
    """Ids of the episodes of the first groups: those across the split, then the largest."""
    order = "splits > 1 DESC, episodes DESC, mark"
    rows = connection.execute(
        f"WITH shown AS (SELECT * FROM twice ORDER BY {order} LIMIT {MOST_LISTED})"
        f" SELECT list(e.episode_id ORDER BY e.episode_id)[1:{MOST_LISTED}] AS ids"
        f" FROM episodes e JOIN shown s ON e.{mark} = s.mark"
        f" GROUP BY s.mark, s.splits, s.episodes ORDER BY {order}"
    ).fetchall()
    return [[str(name) for name in ids] for (ids,) in rows]
