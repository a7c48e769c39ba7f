"""From findings to verdicts and limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from components.checks.check import require_limits
from components.checks.gx import Finding, Judge
from components.checks.verdicts import Verdicts, evidence_of, judge_dataset
from components.core.errors import ComponentError, GateRefused
from components.core.params import Checks

TABLE = pd.DataFrame(
    {"episode_id": ["a", "b", "c"], "episode_index": range(3), "source_uri": ["x", "y", "z"], "task": ["t"] * 3}
)


def finding(code: str, severity: str, column: str, rows: dict[str, Any]) -> Finding:
    return Finding("type", column, {"code": code, "severity": severity, "limit": 1.0}, not rows, rows)


def verdicts(*findings: Finding) -> Verdicts:
    return Verdicts(TABLE, evidence_of(findings), [])


def test_only_errors_quarantine_and_warnings_are_listed() -> None:
    found = verdicts(finding("nan", "error", "n", {"b": 3}), finding("clock_jitter", "warn", "j", {"b": 2.0, "c": 5.0}))
    assert [found.verdict(e) for e in "abc"] == ["accepted", "quarantined", "accepted"]
    assert found.as_table().to_pylist() == [
        {"episode_id": "a", "verdict": "accepted", "codes": []},
        {"episode_id": "b", "verdict": "quarantined", "codes": ["clock_jitter", "nan"]},
        {"episode_id": "c", "verdict": "accepted", "codes": ["clock_jitter"]},
    ]
    assert [(e["episode_id"], e["codes"]) for e in found.listed("error")] == [("b", ["nan"])]
    assert [(e["episode_id"], e["codes"]) for e in found.listed("warn")] == [
        ("b", ["clock_jitter"]),
        ("c", ["clock_jitter"]),
    ]


def test_two_reasons_of_one_code_are_one_code_with_two_pieces_of_evidence() -> None:
    found = verdicts(
        finding("stream_misaligned", "error", "misalignment_ms", {"a": 40.0}),
        finding("stream_misaligned", "error", "action_lag_frames", {"a": 4}),
    )
    (entry,) = found.listed("error")
    assert entry["codes"] == ["stream_misaligned"]
    assert [(e["column"], e["value"], e["limit"]) for e in entry["evidence"]] == [
        ("action_lag_frames", 4, 1.0),
        ("misalignment_ms", 40.0, 1.0),
    ]
    assert (entry["episode_index"], entry["source_uri"], entry["task"]) == (0, "x", "t")


def judged(good_table: pd.DataFrame, params: Checks, folder: Path, bad: int, **changes: Any) -> Verdicts:
    """The first `bad` episodes hold a NaN."""
    table = good_table.assign(nan_count=[1] * bad + [0] * (len(good_table) - bad))
    return judge_dataset(table, params.model_copy(update=changes), Judge(folder / "docs"))


def test_a_dataset_within_its_limits_passes(good_table: pd.DataFrame, params: Checks, tmp_path: Path) -> None:
    found = judged(good_table, params, tmp_path, bad=8)
    assert found.passed
    assert [(limit.name, limit.value) for limit in found.limits] == [
        ("min_episodes_per_task:drawer-open", 16),
        ("min_episodes_per_task:handle-pull", 16),
        ("max_quarantined_share", pytest.approx(0.2)),
    ]


def test_the_share_and_the_tasks_are_judged_by_what_is_left(
    good_table: pd.DataFrame, params: Checks, tmp_path: Path
) -> None:
    found = judged(good_table, params, tmp_path, bad=9, min_episodes_per_task=16)
    assert {limit.name: limit.passed for limit in found.limits} == {
        "min_episodes_per_task:drawer-open": False,
        "min_episodes_per_task:handle-pull": True,
        "max_quarantined_share": False,
    }
    assert not found.passed


def test_a_task_that_lost_every_episode_is_counted(good_table: pd.DataFrame, params: Checks, tmp_path: Path) -> None:
    table = good_table.assign(nan_count=(good_table["task"] == "handle-pull").astype(int))
    found = judge_dataset(table, params.model_copy(update={"max_quarantined_share": 1.0}), Judge(tmp_path / "docs"))
    assert [(limit.value, limit.passed) for limit in found.limits][:2] == [(20, True), (0, False)]


def test_a_missing_number_is_no_pass(good_table: pd.DataFrame, params: Checks, tmp_path: Path) -> None:
    table = good_table.astype({"frozen_share": "float64"})
    table.loc[3, "frozen_share"] = float("nan")
    found = judge_dataset(table, params, Judge(tmp_path / "docs"))
    assert [(e["episode_index"], e["codes"]) for e in found.listed("error")] == [(3, ["unmeasured"])]
    with pytest.raises(ComponentError, match="the episode table lacks frozen_share"):
        judge_dataset(table.drop(columns="frozen_share"), params, Judge(tmp_path / "docs"))


def test_a_copy_is_set_aside_and_its_original_kept(good_table: pd.DataFrame, params: Checks, tmp_path: Path) -> None:
    table = good_table.copy()
    table.loc[7, "duplicate_of"] = table.loc[2, "episode_id"]
    (entry,) = judge_dataset(table, params, Judge(tmp_path / "docs")).listed("error")
    assert (entry["episode_index"], entry["codes"]) == (7, ["duplicate_episode"])
    assert entry["evidence"][0]["value"] == good_table.loc[2, "episode_id"]


def test_a_refusal_names_every_broken_limit_and_no_other() -> None:
    limits = [
        {"name": "min_episodes_per_task:a", "value": 3, "limit": 5.0, "passed": False},
        {"name": "min_episodes_per_task:b", "value": 9, "limit": 5.0, "passed": True},
        {"name": "max_quarantined_share", "value": 0.25, "limit": 0.2, "passed": False},
    ]
    with pytest.raises(
        GateRefused, match=r"task:a is 3, the limit is 5; max_quarantined_share is 0.25, the limit is 0.2"
    ) as e:
        require_limits({"limits": limits}, where="data/dataset")
    assert e.value.exit_code == 1
    assert "task:b" not in str(e.value)
    require_limits({"limits": limits[1:2]}, where="data/dataset")
