"""The tables that the dataset as a whole is judged by: a row a task, robot or site; and all that was accepted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from components.checks.own.words import phrasings


def group_tables(table: pd.DataFrame, accepted: Sequence[bool]) -> dict[str, pd.DataFrame]:
    """tasks, robots and sites; those that name nothing have no rows."""
    return {
        "tasks": task_table(table, accepted),
        "robots": source_table(table, accepted, "robot_id"),
        "sites": source_table(table, accepted, "site"),
    }


def task_table(table: pd.DataFrame, accepted: Sequence[bool]) -> pd.DataFrame:
    """A row a task, with how many episodes, robots, sites and phrasings (in effect) its accepted episodes hold."""
    kept = table.assign(_kept=np.asarray(accepted, bool))
    rows = []
    for name, group in kept.groupby("task", sort=True):
        left = group[group["_kept"]]
        rows.append(
            {
                "name": name,
                "episodes": len(group),
                "accepted": len(left),
                "robots": _distinct(left["robot_id"]),
                "sites": _distinct(left["site"]),
                "phrasings": phrasings(list(left["instruction"])) if len(left) else 0.0,
            }
        )
    return pd.DataFrame(rows)


def source_table(table: pd.DataFrame, accepted: Sequence[bool], column: str) -> pd.DataFrame:
    """A row a robot or site that is named, with the share of its episodes that was set aside."""
    named = table.assign(_kept=np.asarray(accepted, np.int64))
    by_name = named[named[column] != ""].groupby(column, sort=True)["_kept"]
    counts = pd.DataFrame({"episodes": by_name.size(), "accepted": by_name.sum()})
    counts["quarantined_share"] = (counts["episodes"] - counts["accepted"]) / counts["episodes"]
    return counts.rename_axis("name").reset_index()


def dataset_table(table: pd.DataFrame, accepted: Sequence[bool], drifting: Sequence[str]) -> pd.DataFrame:
    """A row an episode: `quarantined` (1 or 0), and what the accepted ones hold; null in all others.

    An empty scene or instruction is none; under drift it is a name like any other.
    """
    kept = pd.Series(np.asarray(accepted, bool), index=table.index)
    columns = {"episode_id": table["episode_id"], "quarantined": (~kept).astype("float64")}
    columns |= {name: table[name].where(kept & (table[name] != ""), None) for name in ("scene", "instruction")}
    columns |= {name: table[name].where(kept, None) for name in drifting}
    return pd.DataFrame(columns)


def _distinct(names: pd.Series) -> int:
    return len(set(names) - {""})
