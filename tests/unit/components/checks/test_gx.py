"""Great Expectations judges as plain numpy would, names the rows, and never takes an error for a verdict."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.checks.codes import CHECKS, CODES
from components.checks.gx import Finding, Judge, load_gx
from components.checks.suite import Expectation, episode_suite, task_suite, verdict_suite
from components.checks.verdicts import count_unmeasured, evidence_of
from components.core.errors import ComponentError
from components.core.files import tree_manifest
from components.core.params import Checks


def plain_verdicts(table: pd.DataFrame, p: Checks) -> dict[str, set[str]]:
    """The checks once more, written by hand: episode id -> codes."""

    def above(column: str, limit: float) -> np.ndarray:
        values = table[column].to_numpy(dtype=np.float64)
        return values > limit

    def below(column: str, limit: float) -> np.ndarray:
        values = table[column].to_numpy(dtype=np.float64)
        return values < limit

    judged = [column for column in table.columns if column not in ("episode_id", "unmeasured")]
    broken = {
        "unmeasured": table[judged].isna().any(axis=1).to_numpy(),
        "nan": above("nan_count", 0),
        "missing_language": below("instruction_words", 1),
        "too_short": below("length", p.min_frames),
        "idle": below("motion_m", p.idle_motion_m),
        "frozen_camera": above("frozen_share", p.frozen_share_max),
        "black_frames": above("black_share", p.black_share_max),
        "dropped_frames": above("dropped_share", p.dropped_share_max),
        "clock_backwards": above("clock_backwards", 0),
        "clock_stopped": above("clock_stopped", 0),
        "clock_jitter": above("clock_jitter", p.clock_jitter_max),
        "rate_mismatch": above("rate_error", p.rate_tolerance),
        "state_jump": above("state_jump_m", p.state_jump_max_m),
        "action_jump": above("action_jump", p.action_jump_max),
        "action_out_of_range": above("action_out_of_range_share", 0),
        "stream_misaligned": above("misalignment_ms", p.misalignment_max_ms)
        | above("action_lag_frames", p.action_lag_max_frames)
        | below("action_lag_frames", 0),
        "duplicate_episode": (table["duplicate_of"] != "").to_numpy(),
    }
    assert set(broken) == set(CODES)
    return {
        episode: {code for code in broken if broken[code][row]}
        for row, episode in enumerate(table["episode_id"])
        if any(broken[code][row] for code in broken)
    }


@st.composite
def tables(draw: st.DrawFn, params: Checks) -> pd.DataFrame:
    """Random tables whose values lie around, beside and exactly on the limits; some are null."""
    count = draw(st.integers(1, 12))
    columns: dict[str, list[object]] = {"episode_id": [f"episode {n}" for n in range(count)]}
    for rule in (rule for check in CHECKS for rule in check.rules):
        if rule.kind == "empty":
            values: st.SearchStrategy[object] = st.sampled_from(["", "episode 0"])
        elif rule.column == "unmeasured":
            continue
        else:
            limit = float(getattr(params, rule.param) if rule.param else rule.bound)
            near = [limit, np.nextafter(limit, -1e9), np.nextafter(limit, 1e9), 0.0, -1.0, 2 * limit + 1, float("nan")]
            values = st.sampled_from(near)
        columns[rule.column] = draw(st.lists(values, min_size=count, max_size=count))
    return count_unmeasured(pd.DataFrame(columns))


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_verdict_is_that_of_plain_numpy(
    data: st.DataObject, params: Checks, tmp_path_factory: pytest.TempPathFactory
) -> None:
    table = data.draw(tables(params))
    judge = Judge(tmp_path_factory.mktemp("random") / "docs")
    findings = judge.judge("episodes", table, episode_suite(params), index="episode_id")
    found = {episode: {e["code"] for e in entries} for episode, entries in evidence_of(findings).items()}
    assert found == plain_verdicts(table, params)


def test_rows_are_named_with_their_value(judge: Judge) -> None:
    table = pd.DataFrame({"episode_id": ["a", "b", "c"], "x": [1.0, 7.0, 2.0]})
    suite = [Expectation("expect_column_values_to_be_between", {"column": "x", "max_value": 2.0}, {"code": "big"})]
    (finding,) = judge.judge("t", table, suite, index="episode_id")
    assert finding == Finding(suite[0].type, "x", {"code": "big"}, False, {"b": 7.0})


def test_findings_come_in_the_order_of_the_suite(judge: Judge, params: Checks, good_table: pd.DataFrame) -> None:
    suite = episode_suite(params)
    findings = judge.judge("episodes", count_unmeasured(good_table), suite, index="episode_id")
    assert [(f.type, f.column, f.meta) for f in findings] == [(e.type, e.kwargs["column"], e.meta) for e in suite]
    assert all(finding.passed and not finding.rows for finding in findings)


def test_a_column_that_is_not_there_is_no_verdict(judge: Judge, params: Checks, good_table: pd.DataFrame) -> None:
    with pytest.raises(ComponentError, match=r"could not evaluate .* on 'frozen_share'"):
        judge.judge(
            "episodes",
            count_unmeasured(good_table).drop(columns="frozen_share"),
            episode_suite(params),
            index="episode_id",
        )


def test_limits_of_the_dataset_are_met_exactly(judge: Judge, params: Checks) -> None:
    tasks = pd.DataFrame({"task": ["a", "b", "c"], "accepted": [5, 4, 50]})
    (finding,) = judge.judge("tasks", tasks, task_suite(params), index="task")
    assert finding.rows == {"b": 4}
    at_limit = pd.DataFrame({"episode_id": list("abcde"), "quarantined": [1.0, 0, 0, 0, 0]})
    (share,) = judge.judge("dataset", at_limit, verdict_suite(params), index="episode_id")
    assert (share.passed, share.observed) == (True, pytest.approx(0.2))


def test_the_docs_are_a_site_with_the_same_bytes_each_time(
    tmp_path: Path, params: Checks, good_table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = count_unmeasured(good_table.assign(nan_count=range(len(good_table))))
    for name in ("one", "two"):
        with Judge(tmp_path / name) as judge:
            judge.judge("episodes", table, episode_suite(params), index="episode_id")
    one, two = tree_manifest(tmp_path / "one"), tree_manifest(tmp_path / "two")
    assert one == two
    assert "index.html" in one
    pages = [name for name in one if name.startswith("validations/")]
    assert len(pages) == 1
    assert "nan_count" in (tmp_path / "one" / pages[0]).read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_nothing_is_reported_to_anybody() -> None:
    load_gx()
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"
