"""From what the judge found to a verdict per episode and per dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from components.checks.codes import JUDGED, UNMEASURED
from components.checks.suite import MAX_QUARANTINED, MIN_EPISODES, episode_suite, task_suite, verdict_suite
from components.checks.table import records
from components.core.errors import ComponentError
from components.core.params import Checks

if TYPE_CHECKING:
    from components.checks.gx import Finding, Judge

ACCEPTED = "accepted"
QUARANTINED = "quarantined"

VERDICTS_SCHEMA = pa.schema([("episode_id", pa.string()), ("verdict", pa.string()), ("codes", pa.list_(pa.string()))])


@dataclass(frozen=True)
class Limit:
    """A limit of the dataset as a whole, what was found, and whether it holds."""

    name: str
    value: float
    limit: float
    passed: bool


@dataclass(frozen=True)
class Verdicts:
    """`evidence`: episode id -> one entry per broken expectation, by code; `limits`: of the dataset."""

    table: pd.DataFrame
    evidence: dict[str, list[dict[str, Any]]]
    limits: list[Limit]

    @property
    def passed(self) -> bool:
        return all(limit.passed for limit in self.limits)

    def codes(self, episode_id: str, severity: str) -> list[str]:
        """Codes of one severity that an episode broke, sorted."""
        return sorted({e["code"] for e in self.evidence.get(episode_id, ()) if e["severity"] == severity})

    def verdict(self, episode_id: str) -> str:
        return QUARANTINED if self.codes(episode_id, "error") else ACCEPTED

    def as_table(self) -> pa.Table:
        """verdicts.parquet: one row per episode in the order of the dataset; codes of either severity."""
        rows = []
        for episode_id in self.table["episode_id"]:
            codes = {entry["code"] for entry in self.evidence.get(episode_id, ())}
            rows.append({"episode_id": episode_id, "verdict": self.verdict(episode_id), "codes": sorted(codes)})
        return pa.Table.from_pylist(rows, schema=VERDICTS_SCHEMA)

    def listed(self, severity: str) -> list[dict[str, Any]]:
        """The episodes that broke a check of this severity, with what there was to see."""
        found = []
        for row in records(self.table):
            codes = self.codes(row["episode_id"], severity)
            if codes:
                identity = {name: row[name] for name in ("episode_id", "episode_index", "source_uri", "task")}
                evidence = [e for e in self.evidence[row["episode_id"]] if e["severity"] == severity]
                found.append({**identity, "codes": codes, "evidence": evidence})
        return found

    def limits_as_dicts(self) -> list[dict[str, Any]]:
        return [asdict(limit) for limit in self.limits]


def judge_dataset(table: pd.DataFrame, params: Checks, judge: Judge) -> Verdicts:
    """Judges every episode of the table, and then the dataset that the accepted ones make."""
    findings = judge.judge("episodes", count_unmeasured(table), episode_suite(params), index="episode_id")
    verdicts = Verdicts(table, evidence_of(findings), [])
    rejected = table["episode_id"].map(lambda episode: verdicts.verdict(episode) == QUARANTINED)
    by_task = table.assign(accepted=(~rejected).astype("int64")).groupby("task")["accepted"].sum().reset_index()
    per_task = judge.judge("tasks", by_task, task_suite(params), index="task")
    outcome = pd.DataFrame({"episode_id": table["episode_id"], "quarantined": rejected.astype("float64")})
    overall = judge.judge("dataset", outcome, verdict_suite(params), index="episode_id")
    return Verdicts(table, verdicts.evidence, [*_task_limits(by_task, per_task[0]), _share_limit(overall[0])])


def count_unmeasured(table: pd.DataFrame) -> pd.DataFrame:
    """Adds how many of the judged columns are null in each row. Raises `ComponentError` where a column is missing."""
    missing = sorted(set(JUDGED) - set(table.columns))
    if missing:
        raise ComponentError(f"the episode table lacks {', '.join(missing)}")
    return table.assign(**{UNMEASURED: table[list(JUDGED)].isna().sum(axis=1)})


def evidence_of(findings: Sequence[Finding]) -> dict[str, list[dict[str, Any]]]:
    """Episode id -> what it broke: code, severity, column, value and limit, sorted by code and column."""
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in findings:
        head = {name: finding.meta[name] for name in ("code", "severity", "limit")}
        for episode_id, value in finding.rows.items():
            found.setdefault(episode_id, []).append({**head, "column": finding.column, "value": value})
    return {
        episode_id: sorted(found[episode_id], key=lambda e: (e["code"], e["column"])) for episode_id in sorted(found)
    }


def _task_limits(by_task: pd.DataFrame, finding: Finding) -> list[Limit]:
    return [
        Limit(
            f"{MIN_EPISODES}:{row['task']}",
            int(row["accepted"]),
            finding.meta["limit"],
            row["task"] not in finding.rows,
        )
        for row in records(by_task)
    ]


def _share_limit(finding: Finding) -> Limit:
    return Limit(MAX_QUARANTINED, finding.observed or 0.0, finding.meta["limit"], finding.passed)
