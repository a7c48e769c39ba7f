"""From what the judge found to a verdict per episode and per dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from components.checks.codes import UNMEASURED, rules
from components.checks.limits import Limit, judge_limits
from components.checks.records import records
from components.checks.suite import episode_suite
from components.core.errors import ComponentError
from components.core.params import Checks

if TYPE_CHECKING:
    from components.checks.gx import Finding, Judge

ACCEPTED = "accepted"
QUARANTINED = "quarantined"

VERDICTS_SCHEMA = pa.schema(
    [
        ("episode_id", pa.string()),
        ("verdict", pa.string()),
        ("codes", pa.list_(pa.string())),
        # 0..1; null where it was not measured.
        ("quality", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Verdicts:
    """`evidence`: episode id -> one entry per broken expectation, by code; `limits`: of the dataset."""

    table: pd.DataFrame
    evidence: dict[str, list[dict[str, Any]]]
    limits: list[Limit]

    @property
    def passed(self) -> bool:
        """No limit of severity error is broken."""
        return all(limit.passed for limit in self.limits if limit.severity == "error")

    @property
    def accepted(self) -> list[bool]:
        """Of every row of the table."""
        return [self.verdict(episode_id) == ACCEPTED for episode_id in self.table["episode_id"]]

    def codes(self, episode_id: str, severity: str) -> list[str]:
        """Codes of one severity that an episode broke, sorted; a code of which one rule sets it aside is no warning."""
        broken = self.evidence.get(episode_id, ())
        found = {level: {e["code"] for e in broken if e["severity"] == level} for level in ("error", "warn")}
        return sorted(found[severity] if severity == "error" else found["warn"] - found["error"])

    def verdict(self, episode_id: str) -> str:
        return QUARANTINED if self.codes(episode_id, "error") else ACCEPTED

    def as_table(self) -> pa.Table:
        """verdicts.parquet: one row per episode in the order of the dataset; codes of either severity."""
        ids = self.table["episode_id"].tolist()
        codes = [sorted({entry["code"] for entry in self.evidence.get(episode_id, ())}) for episode_id in ids]
        # A NaN would be larger than every number to whoever asks by SQL.
        quality = pa.array(self.table["quality"], from_pandas=True) if "quality" in self.table else pa.nulls(len(ids))
        columns = [ids, [self.verdict(episode_id) for episode_id in ids], codes, quality.cast(pa.float64())]
        return pa.table(dict(zip(VERDICTS_SCHEMA.names, columns, strict=True)), schema=VERDICTS_SCHEMA)

    def listed(self, severity: str) -> list[dict[str, Any]]:
        """The episodes that broke a check of this severity, with what there was to see."""
        found = []
        for row in records(self.table):
            codes = self.codes(row["episode_id"], severity)
            if codes:
                identity = {name: row[name] for name in ("episode_id", "episode_index", "source_uri", "task")}
                evidence = [e for e in self.evidence[row["episode_id"]] if e["code"] in codes]
                found.append({**identity, "codes": codes, "evidence": evidence})
        return found

    def limits_as_dicts(self) -> list[dict[str, Any]]:
        return [asdict(limit) for limit in self.limits]


def judge_dataset(
    table: pd.DataFrame,
    params: Checks,
    judge: Judge,
    can: frozenset[str],
    baseline: dict[str, Any] | None = None,
) -> Verdicts:
    """Judges every episode of the table, and then the dataset that the accepted ones make.

    `can`: see `codes.NEEDS`; `baseline`: profile of the dataset that drift is measured against.
    """
    suite = episode_suite(params, can)
    findings = judge.judge("episodes", count_unmeasured(table, can), suite, index="episode_id")
    verdicts = Verdicts(table, evidence_of(findings), [])
    limits = judge_limits(table, verdicts.accepted, params, judge, baseline)
    return Verdicts(table, verdicts.evidence, limits)


def count_unmeasured(table: pd.DataFrame, can: frozenset[str]) -> pd.DataFrame:
    """Adds how many of the judged columns are null in each row. Raises `ComponentError` where a column is missing."""
    judged = [rule.column for _, rule in rules(can) if rule.column != UNMEASURED]
    missing = sorted(set(judged) - set(table.columns))
    if missing:
        raise ComponentError(f"the episode table lacks {', '.join(missing)}")
    return table.assign(**{UNMEASURED: table[judged].isna().sum(axis=1)})


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
