"""From findings to verdicts and limits."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
from beside import helpers

from components.checks.check import require_limits
from components.checks.gx import Finding, Judge
from components.checks.verdicts import VERDICTS_SCHEMA, Verdicts, evidence_of, judge_dataset
from components.core.errors import ComponentError, GateRefused
from components.core.params import Checks

TABLES: ModuleType = helpers(Path(__file__).with_name("tables.py"))
CAN = frozenset(TABLES.ANY)
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
        {"episode_id": "a", "verdict": "accepted", "codes": [], "quality": None},
        {"episode_id": "b", "verdict": "quarantined", "codes": ["clock_jitter", "nan"], "quality": None},
        {"episode_id": "c", "verdict": "accepted", "codes": ["clock_jitter"], "quality": None},
    ]
    assert [(e["episode_id"], e["codes"]) for e in found.listed("error")] == [("b", ["nan"])]
    assert [(e["episode_id"], e["codes"]) for e in found.listed("warn")] == [
        ("b", ["clock_jitter"]),
        ("c", ["clock_jitter"]),
    ]


def test_quality_is_taken_from_the_table_and_what_is_no_number_becomes_null() -> None:
    written = Verdicts(TABLE.assign(quality=[0.25, float("nan"), 1.0]), {}, []).as_table()
    assert written.schema == VERDICTS_SCHEMA
    assert written["quality"].to_pylist() == [0.25, None, 1.0]


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


def test_a_code_that_warns_by_one_number_and_sets_aside_by_another_is_an_error() -> None:
    hint = finding("action_state_disagree", "warn", "action_unexplained", {"a": 0.2, "b": 0.3})
    found = verdicts(hint, finding("action_state_disagree", "error", "action_contradicted", {"b": 0.5}))
    assert [found.verdict(e) for e in "abc"] == ["accepted", "quarantined", "accepted"]
    (failed,), (warned,) = found.listed("error"), found.listed("warn")
    assert (failed["episode_id"], [e["severity"] for e in failed["evidence"]]) == ("b", ["error", "warn"])
    assert (warned["episode_id"], [e["column"] for e in warned["evidence"]]) == ("a", ["action_unexplained"])


@pytest.fixture
def good_table(params: Checks) -> pd.DataFrame:
    return TABLES.passing(params)


def judged(good_table: pd.DataFrame, params: Checks, folder: Path, bad: int, **changes: Any) -> Verdicts:
    """The first `bad` episodes hold a NaN."""
    table = good_table.assign(nan_count=[1.0] * bad + [0.0] * (len(good_table) - bad))
    return judge_dataset(table, params.model_copy(update=changes), Judge(folder / "docs"), CAN)


def test_a_dataset_within_its_limits_passes(good_table: pd.DataFrame, params: Checks, tmp_path: Path) -> None:
    found = judged(good_table, params, tmp_path, bad=8)
    assert found.passed
    limits = {limit.name: limit.value for limit in found.limits if limit.severity == "error"}
    assert limits == {
        "min_episodes_per_task:drawer-open": 16,
        "min_episodes_per_task:handle-pull": 16,
        "max_quarantined_share": pytest.approx(0.2),
        "min_scenes": 1,
        "min_instructions": 5,
    }
    assert found.accepted == [False] * 8 + [True] * 32


def test_the_share_and_the_tasks_are_judged_by_what_is_left(
    good_table: pd.DataFrame, params: Checks, tmp_path: Path
) -> None:
    found = judged(good_table, params, tmp_path, bad=9, min_episodes_per_task=16)
    assert [limit.name for limit in found.limits if not limit.passed] == [
        "min_episodes_per_task:drawer-open",
        "max_quarantined_share",
    ]
    assert not found.passed


def test_a_limit_that_only_warns_is_listed_and_does_not_fail_the_dataset(
    good_table: pd.DataFrame, params: Checks, tmp_path: Path
) -> None:
    warn = (*params.warn, "max_quarantined_share")
    found = judged(good_table, params, tmp_path, bad=9, warn=warn)
    assert [(e["name"], e["severity"]) for e in found.limits_as_dicts() if not e["passed"]] == [
        ("max_quarantined_share", "warn")
    ]
    assert found.passed


def test_a_task_that_lost_every_episode_is_counted(good_table: pd.DataFrame, params: Checks, tmp_path: Path) -> None:
    table = good_table.assign(nan_count=(good_table["task"] == "handle-pull").astype(float))
    found = judge_dataset(table, params, Judge(tmp_path / "docs"), CAN)
    assert [(limit.value, limit.passed) for limit in found.limits][:2] == [(20, True), (0, False)]


def test_a_missing_number_is_no_pass(good_table: pd.DataFrame, params: Checks, tmp_path: Path) -> None:
    table = good_table.astype({"frozen_share": "float64"})
    table.loc[3, "frozen_share"] = float("nan")
    found = judge_dataset(table, params, Judge(tmp_path / "docs"), CAN)
    assert [(e["episode_index"], e["codes"]) for e in found.listed("error")] == [(3, ["unmeasured"])]
    with pytest.raises(ComponentError, match="the episode table lacks frozen_share"):
        judge_dataset(table.drop(columns="frozen_share"), params, Judge(tmp_path / "docs"), CAN)


def test_what_a_robot_does_not_have_is_not_judged(good_table: pd.DataFrame, params: Checks, tmp_path: Path) -> None:
    table = good_table.drop(columns="frozen_share").assign(blur=float("nan"))
    assert judge_dataset(table, params, Judge(tmp_path / "docs"), CAN - {"camera"}).passed


def test_a_copy_is_set_aside_and_its_original_kept(good_table: pd.DataFrame, params: Checks, tmp_path: Path) -> None:
    table = good_table.copy()
    table.loc[7, "duplicate_of"] = table.loc[2, "episode_id"]
    (entry,) = judge_dataset(table, params, Judge(tmp_path / "docs"), CAN).listed("error")
    assert (entry["episode_index"], entry["codes"]) == (7, ["duplicate_episode"])
    assert entry["evidence"][0]["value"] == good_table.loc[2, "episode_id"]


def test_a_refusal_names_every_broken_limit_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    limits = [
        {"name": "min_episodes_per_task:a", "value": 3, "limit": 5.0, "passed": False, "severity": "error"},
        {"name": "min_episodes_per_task:b", "value": 9, "limit": 5.0, "passed": True, "severity": "error"},
        {"name": "max_quarantined_share", "value": 0.25, "limit": 0.2, "passed": False, "severity": "error"},
        {"name": "min_sites_per_task:a", "value": 1, "limit": 2.0, "passed": False, "severity": "warn"},
    ]
    with pytest.raises(
        GateRefused, match=r"task:a is 3, the limit is 5; max_quarantined_share is 0.25, the limit is 0.2"
    ) as e:
        require_limits({"limits": limits}, where="data/dataset")
    assert e.value.exit_code == 1
    assert "task:b" not in str(e.value)
    assert "min_sites" not in str(e.value)
    caplog.clear()
    require_limits({"limits": limits[1::2]}, where="data/dataset")
    assert [(r.levelname, "min_sites_per_task:a is 1, the limit is 2" in r.message) for r in caplog.records] == [
        ("WARNING", True)
    ]
