"""The one place where the benchmark calls the checks: measure a dataset, judge a table of measured episodes."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from components.checks.channels import Channels
from components.checks.gx import Judge
from components.checks.own.relate import relate
from components.checks.suite import episode_suite
from components.checks.table import measure_dataset
from components.checks.verdicts import QUARANTINED, Verdicts, count_unmeasured, evidence_of, judge_dataset
from components.core.params import Checks
from components.core.spec import Embodiment


@dataclass(frozen=True)
class Judged:
    """Of one table: episode id -> its codes of either severity; ids of those set aside; broken limits of the whole."""

    codes: dict[str, frozenset[str]]
    quarantined: frozenset[str]
    limits: frozenset[str]


def measured(root: Path, params: Checks) -> pa.Table:
    """One row an episode; says nothing on stderr."""
    with contextlib.redirect_stderr(io.StringIO()):
        return measure_dataset(root, params)


def judged(table: pa.Table, body: Embodiment, fps: int, params: Checks, *, with_limits: bool = True) -> Judged:
    """`table`: rows as `measured` gives them, of one or of several datasets. Limits of the whole cost the most."""
    place = table.column_names.index("episode_index")
    numbers = pa.array(range(len(table)), table.schema.field(place).type)
    related = relate(table.set_column(place, "episode_index", numbers), body, params, fps=fps)
    verdicts = _verdicts(related, Channels(body).can, params, with_limits)
    rows = verdicts.as_table().to_pylist()
    return Judged(
        {row["episode_id"]: frozenset(row["codes"]) for row in rows},
        frozenset(row["episode_id"] for row in rows if row["verdict"] == QUARANTINED),
        frozenset(limit.name for limit in verdicts.limits if not limit.passed),
    )


def _verdicts(table: pd.DataFrame, can: frozenset[str], params: Checks, with_limits: bool) -> Verdicts:
    # Its block is never left, so it renders no Data Docs and nothing is written.
    judge = Judge(Path())
    if with_limits:
        return judge_dataset(table, params, judge, can)
    suite = episode_suite(params, can)
    findings = judge.judge("episodes", count_unmeasured(table, can), suite, index="episode_id")
    return Verdicts(table, evidence_of(findings), [])
