"""Limits of the dataset as a whole: of its tasks, its robots and sites, all of it, and against the version before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from components.checks.codes import PHRASINGS, Severity
from components.checks.groups import dataset_table, group_tables
from components.checks.profile import Bins, stored_bins
from components.checks.records import records
from components.checks.suite import MAX_DRIFT, MAX_QUARANTINED, Expectation
from components.core.params import Checks

if TYPE_CHECKING:
    from components.checks.gx import Finding, Judge

_VALUES = "expect_column_values_to_be_between"
_MEAN = "expect_column_mean_to_be_between"
_DISTINCT = "expect_column_unique_value_count_to_be_between"
_PSI = "expect_column_psi_to_be_at_most"


@dataclass(frozen=True)
class Limit:
    """A limit of the dataset as a whole, what was found, and whether it holds; severity warn does not fail it."""

    name: str
    value: float
    limit: float
    passed: bool
    severity: Severity = "error"


def limit_suites(params: Checks, bins: Mapping[str, Bins]) -> dict[str, list[Expectation]]:
    """By the name of the table that they are about. `bins`: of the version before; nothing where there is none."""
    sources = {
        f"{kind}s": [_expect(params, f"max_quarantined_share_of_{kind}", "quarantined_share", "max_value")]
        for kind in ("robot", "site")
    }
    return {
        "tasks": [
            _expect(params, "min_episodes_per_task", "accepted", "min_value"),
            _expect(params, "min_robots_per_task", "robots", "min_value"),
            _expect(params, "min_sites_per_task", "sites", "min_value"),
            _expect(params, PHRASINGS, "phrasings", "min_value", param="min_phrasings_per_task"),
        ],
        **sources,
        "dataset": [
            _expect(params, MAX_QUARANTINED, "quarantined", "max_value", _MEAN),
            _expect(params, "min_scenes", "scene", "min_value", _DISTINCT),
            _expect(params, "min_instructions", "instruction", "min_value", _DISTINCT),
            *(_drift(params, column, stored) for column, stored in bins.items()),
        ],
    }


def judge_limits(
    table: pd.DataFrame, accepted: Sequence[bool], params: Checks, judge: Judge, baseline: dict[str, Any] | None
) -> list[Limit]:
    """`table`: one row an episode, as is `accepted`; `baseline`: profile of the version before."""
    bins = {name: one for name, one in (stored_bins(baseline) if baseline else {}).items() if name in table.columns}
    suites = limit_suites(params, bins)
    limits = []
    for name, groups in group_tables(table, accepted).items():
        if len(groups):
            findings = judge.judge(name, groups, suites[name], index="name")
            limits += [limit for finding in findings for limit in _of_groups(finding, groups)]
    found = judge.judge("dataset", dataset_table(table, accepted, list(bins)), suites["dataset"], index="episode_id")
    return [*limits, *(_of_dataset(finding) for finding in found)]


def _expect(params: Checks, name: str, column: str, side: str, kind: str = _VALUES, *, param: str = "") -> Expectation:
    limit = float(getattr(params, param or name))
    asked = {"column": column, side: int(limit) if kind == _DISTINCT else limit}
    return Expectation(kind, asked, {"code": name, "severity": _severity(params, name), "limit": limit})


def _drift(params: Checks, column: str, stored: Bins) -> Expectation:
    meta = {"code": MAX_DRIFT, "severity": _severity(params, MAX_DRIFT), "limit": params.max_drift}
    asked = {"column": column, "bins": list(stored.bins), "counts": list(stored.counts), "max_psi": params.max_drift}
    return Expectation(_PSI, asked, meta)


def _severity(params: Checks, name: str) -> Severity:
    return "warn" if name in params.warn else "error"


def _of_groups(finding: Finding, groups: pd.DataFrame) -> list[Limit]:
    """One per group, in the order of the table."""
    meta = finding.meta
    return [
        Limit(
            f"{meta['code']}:{row['name']}",
            row[finding.column],
            meta["limit"],
            row["name"] not in finding.rows,
            meta["severity"],
        )
        for row in records(groups)
    ]


def _of_dataset(finding: Finding) -> Limit:
    meta = finding.meta
    name = f"{meta['code']}:{finding.column}" if meta["code"] == MAX_DRIFT else meta["code"]
    limit = meta["limit"] if finding.limit is None else finding.limit
    return Limit(name, finding.observed or 0.0, limit, finding.passed, meta["severity"])
