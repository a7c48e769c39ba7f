"""What a dataset lacks: tasks that a robot, site or collector never did or hardly did, and days without recordings."""

from __future__ import annotations

import itertools
from datetime import date
from typing import TYPE_CHECKING, Any

from components.dataset.episode_table import query

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Tasks are crossed with each of these.
CROSSED = ("robot_id", "site", "scene", "collector_id")
# A cell is thin below this share of what it would hold if all held the same.
THIN_SHARE = 0.2
# Rows and columns of a table of cells, and gaps that are listed; the others are counted.
MOST_VALUES = 20
MOST_LISTED = 20
# Gaps are looked for among so many tasks and values: where every episode has a task of its own, all would be too many.
_MOST_CROSSED = 200


def coverage(connection: DuckDBPyConnection) -> dict[str, Any]:
    """Gaps of the table `counted`, which has the columns of the card and `day`."""
    return {
        "thin_share": THIN_SHARE,
        "cells": {name: cells(connection, name) for name in CROSSED},
        "days": days(connection),
    }


def cells(connection: DuckDBPyConnection, column: str) -> dict[str, Any]:
    """Episodes of each task and value of `column`; {} where the column has one value or none that is said.

    `table`: rows of the most frequent tasks, columns of the most frequent values; `empty`, `thin`: how many of all
    cells are; `gaps`: the first of them, the emptiest of the most frequent tasks first.
    """
    connection.execute(
        "CREATE OR REPLACE TABLE pairs AS SELECT task, value, count(*) AS episodes"
        f" FROM (SELECT task, {column} AS value FROM counted WHERE {column} <> '') GROUP BY task, value"
    )
    (values, tasks, filled, episodes) = connection.execute(
        "SELECT count(DISTINCT value), count(DISTINCT task), count(*), sum(episodes)::BIGINT FROM pairs"
    ).fetchone() or (0, 0, 0, 0)
    if values < 2:
        return {}
    thin = THIN_SHARE * episodes / (values * tasks)
    (few,) = connection.execute(f"SELECT count(*) FROM pairs WHERE episodes <= {thin!r}").fetchone() or (0,)
    _cross(connection)
    gaps = query(
        connection,
        f"SELECT task, value, episodes FROM cells WHERE episodes <= {thin!r}"
        f" ORDER BY episodes, of_task DESC, of_value DESC, task, value LIMIT {MOST_LISTED}",
    )
    return {
        "values": values,
        "tasks": tasks,
        "empty": values * tasks - filled,
        "thin": few,
        "thin_at": thin,
        "gaps": gaps,
        "table": _table(connection),
    }


def _cross(connection: DuckDBPyConnection) -> None:
    """`cells`: every frequent task with every frequent value, also where they do not occur together."""
    frequent = "GROUP BY {0} ORDER BY of_{0} DESC, {0} LIMIT {1}"
    connection.execute(
        "CREATE OR REPLACE TABLE cells AS WITH"
        f" tasks AS (SELECT task, sum(episodes) AS of_task FROM pairs {frequent.format('task', _MOST_CROSSED)}),"
        f" vals AS (SELECT value, sum(episodes) AS of_value FROM pairs {frequent.format('value', _MOST_CROSSED)})"
        " SELECT task, value, of_task, of_value, coalesce(episodes, 0) AS episodes"
        " FROM tasks CROSS JOIN vals LEFT JOIN pairs USING (task, value)"
    )


def _table(connection: DuckDBPyConnection) -> dict[str, Any]:
    rows = _frequent(connection, "task", "of_task")
    columns = _frequent(connection, "value", "of_value")
    counts = connection.execute(
        "SELECT task, value, episodes FROM cells WHERE list_contains(?, task) AND list_contains(?, value)",
        [rows, columns],
    ).fetchall()
    found = {(task, value): episodes for task, value, episodes in counts}
    return {"tasks": rows, "values": columns, "episodes": [[found[task, value] for value in columns] for task in rows]}


def _frequent(connection: DuckDBPyConnection, name: str, count: str) -> list[str]:
    ordered = f"SELECT DISTINCT {name}, {count} FROM cells ORDER BY {count} DESC, {name} LIMIT {MOST_VALUES}"
    return [str(value) for value, _ in connection.execute(ordered).fetchall()]


def days(connection: DuckDBPyConnection) -> dict[str, Any]:
    """Episodes of each day, and the stretches of days without one, the longest first.

    `undated`: episodes whose `recorded_at` does not begin with a date.
    """
    rows = connection.execute("SELECT day, count(*) FROM counted GROUP BY day ORDER BY day").fetchall()
    counts = {day: int(episodes) for day, episodes in ((_date(text), episodes) for text, episodes in rows) if day}
    undated = sum(episodes for _, episodes in rows) - sum(counts.values())
    known = sorted(counts)
    gaps = [
        {"after": before.isoformat(), "before": after.isoformat(), "days": (after - before).days - 1}
        for before, after in itertools.pairwise(known)
        if (after - before).days > 1
    ]
    gaps.sort(key=lambda gap: (-int(str(gap["days"])), str(gap["after"])))
    return {
        "recorded": [{"day": day.isoformat(), "episodes": counts[day]} for day in known],
        "without": sum(int(str(gap["days"])) for gap in gaps),
        "gaps": gaps[:MOST_LISTED],
        "undated": undated,
    }


def _date(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None
