"""Great Expectations judges as plain numpy would, names the rows, and never takes an error for a verdict."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from beside import helpers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.checks.gx import Finding, Judge, load_gx
from components.checks.suite import Expectation, episode_suite
from components.checks.verdicts import count_unmeasured, evidence_of
from components.core.errors import ComponentError
from components.core.files import read_json, tree_manifest
from components.core.params import Checks

TABLES: ModuleType = helpers(Path(__file__).with_name("tables.py"))
CAN = frozenset(TABLES.ANY)
BETWEEN = "expect_column_values_to_be_between"


def big(limit: float) -> Expectation:
    return Expectation(BETWEEN, {"column": "x", "max_value": limit}, {"code": "big"})


@pytest.fixture
def good(params: Checks) -> pd.DataFrame:
    return count_unmeasured(TABLES.passing(params), CAN)


@st.composite
def tables(draw: st.DrawFn, params: Checks) -> pd.DataFrame:
    """Random tables whose values lie around, beside and exactly on the limits; some are null."""
    count = draw(st.integers(1, 12))
    columns: dict[str, list[object]] = {"episode_id": [f"episode {n}" for n in range(count)]}
    for _, rule in TABLES.judged():
        limit = TABLES.limit_of(rule, params)
        near = [limit, np.nextafter(limit, -1e9), np.nextafter(limit, 1e9), 0.0, -1.0, 2 * limit + 1, float("nan")]
        values = st.sampled_from(["", "episode 0"]) if rule.kind == "empty" else st.sampled_from(near)
        columns[rule.column] = draw(st.lists(values, min_size=count, max_size=count))
    return pd.DataFrame(columns)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_verdict_is_that_of_plain_python(
    data: st.DataObject, params: Checks, tmp_path_factory: pytest.TempPathFactory
) -> None:
    table = data.draw(tables(params))
    expected: dict[str, set[tuple[str, str]]] = {}
    for row in table.to_dict("records"):
        broken = {
            (check.code, rule.column)
            for check, rule in TABLES.judged()
            if row[rule.column] == row[rule.column] and TABLES.breaks(rule, row[rule.column], params)
        }
        if any(value != value for value in row.values()):
            broken.add(("unmeasured", "unmeasured"))
        if broken:
            expected[row["episode_id"]] = broken
    judge = Judge(tmp_path_factory.mktemp("random") / "docs")
    findings = judge.judge("episodes", count_unmeasured(table, CAN), episode_suite(params, CAN), index="episode_id")
    found = {name: {(e["code"], e["column"]) for e in entries} for name, entries in evidence_of(findings).items()}
    assert found == expected


def test_rows_are_named_with_their_value(judge: Judge) -> None:
    table = pd.DataFrame({"episode_id": ["a", "b", "c"], "x": [1.0, 7.0, 2.0]})
    (finding,) = judge.judge("t", table, [big(2.0)], index="episode_id")
    assert finding == Finding(BETWEEN, "x", {"code": "big"}, False, {"b": 7.0})


def test_every_row_is_named_however_many(judge: Judge) -> None:
    table = pd.DataFrame({"episode_id": [str(n) for n in range(500)], "x": np.arange(500.0)})
    (finding,) = judge.judge("t", table, [big(99.0)], index="episode_id")
    assert finding.rows == {str(n): float(n) for n in range(100, 500)}


def test_rows_that_do_not_fit_the_count_are_no_verdict(judge: Judge) -> None:
    table = pd.DataFrame({"episode_id": ["a", "b", "b"], "x": [1.0, 7.0, 8.0]})
    with pytest.raises(ComponentError, match="Great Expectations counts 2 rows, these are 1"):
        judge.judge("t", table, [big(2.0)], index="episode_id")


def test_findings_come_in_the_order_of_the_suite(judge: Judge, params: Checks, good: pd.DataFrame) -> None:
    suite = episode_suite(params, CAN)
    findings = judge.judge("episodes", good, suite, index="episode_id")
    assert [(f.type, f.column, f.meta) for f in findings] == [(e.type, e.kwargs["column"], e.meta) for e in suite]
    assert all(finding.passed and not finding.rows for finding in findings)


def test_a_column_that_is_not_there_is_no_verdict(judge: Judge, params: Checks, good: pd.DataFrame) -> None:
    table = good.drop(columns="frozen_share")
    with pytest.raises(ComponentError, match=r"could not evaluate .* on 'frozen_share'"):
        judge.judge("episodes", table, episode_suite(params, CAN), index="episode_id")


def test_docs_and_results_have_the_same_bytes_each_time(
    tmp_path: Path, params: Checks, good: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = good.assign(nan_count=[float(n) for n in range(len(good))])
    for name, zone in (("one", "Asia/Tokyo"), ("two", "America/New_York")):
        monkeypatch.setenv("TZ", zone)
        with Judge(tmp_path / name) as judge:
            judge.judge("episodes", table, episode_suite(params, CAN), index="episode_id")
        judge.write_results(tmp_path / name / "results")
    one, two = tree_manifest(tmp_path / "one"), tree_manifest(tmp_path / "two")
    assert one == two
    assert "index.html" in one
    (page,) = [name for name in one if name.startswith("validations/")]
    assert "nan_count" in (tmp_path / "one" / page).read_text()
    result = read_json(tmp_path / "one/results/episodes.json")
    failed = [r["expectation_config"]["kwargs"]["column"] for r in result["results"] if not r["success"]]
    assert failed == ["nan_count"]
    assert "202" not in json.dumps(result["meta"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_nothing_is_reported_to_anybody() -> None:
    load_gx()
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"
