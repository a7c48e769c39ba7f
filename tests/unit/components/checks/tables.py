"""Episode tables made of the rules themselves: on their bounds everything passes, just beyond them one rule breaks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from components.checks.codes import CHECKS, NEEDS, UNMEASURED, Check, Rule
from components.core.params import Checks

ANY = frozenset(NEEDS)
BEYOND = {"at_most": (np.inf,), "at_least": (-np.inf,), "up_to": (-np.inf, np.inf)}


def judged() -> Iterator[tuple[Check, Rule]]:
    return ((check, rule) for check in CHECKS for rule in check.rules if rule.column != UNMEASURED)


def limit_of(rule: Rule, params: Checks) -> float:
    return float(getattr(params, rule.param)) if rule.param else rule.bound


def breaks(rule: Rule, value: Any, params: Checks) -> bool:
    """Whether a value that is there breaks a rule; written without a look at the suites."""
    if rule.kind == "empty":
        return bool(value != "")
    limit = limit_of(rule, params)
    broken = {"at_most": value > limit, "at_least": value < limit, "up_to": value < 0 or value > limit}
    return bool(broken[rule.kind])


def passing(params: Checks, count: int = 40) -> pd.DataFrame:
    """Every number on its bound; two tasks, four robots, two sites, five instructions a task, in turn."""
    numbers = range(count)
    columns: dict[str, Any] = {
        "episode_id": [f"episode-{n:04d}" for n in numbers],
        "episode_index": list(numbers),
        "source_uri": [f"raw/{n}.mcap" for n in numbers],
        "task": [("drawer-open", "handle-pull")[n % 2] for n in numbers],
        "robot_id": [f"cell-{n // 2 % 4}" for n in numbers],
        "site": [("north", "south")[n // 4 % 2] for n in numbers],
        "scene": ["bench"] * count,
        "instruction": [f"do it {n // 2 % 5}" for n in numbers],
    }
    for _, rule in judged():
        columns[rule.column] = [""] * count if rule.kind == "empty" else [limit_of(rule, params)] * count
    return pd.DataFrame(columns)
