"""The report: what it says, that its charts count every episode, and that it stays small."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from beside import UNIT, helpers
from hypothesis import given
from hypothesis import strategies as st

from components.checks import report as report_module
from components.checks.own.relate import relate
from components.checks.report import page
from components.checks.report_charts import BINS, by_code, coverage, drift, histogram, measures, quality
from components.checks.table import measure_dataset
from components.checks.verdicts import Verdicts
from components.checks.worst import MOST, choose, excess
from components.core.params import Checks, load_params
from components.dataset.reader import Dataset

EPISODES = helpers(UNIT / "checks" / "episodes.py")


def entry(code: str, value: Any = 2.0, limit: float | None = 1.0, severity: str = "error") -> dict[str, Any]:
    return {"code": code, "column": f"{code}_number", "value": value, "limit": limit, "severity": severity}


def listed(number: int, *evidence: dict[str, Any]) -> dict[str, Any]:
    identity = {"episode_id": f"{number:064d}", "episode_index": number, "source_uri": f"{number}.mcap", "task": "open"}
    return {**identity, "codes": sorted({one["code"] for one in evidence}), "evidence": list(evidence)}


@pytest.fixture(scope="module")
def checks(project: Path) -> Checks:
    return load_params(project / "params.yaml").checks


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Dataset:
    root = tmp_path_factory.mktemp("report") / "dataset"
    samples = [EPISODES.good(seed) for seed in range(9)]
    samples.append(EPISODES.FAULTS["nan"][0](EPISODES.good(20).with_row(source_uri="<script>alert(1)</script>")))
    EPISODES.write_dataset(root, samples, load_params(project / "params.yaml").ingest.video)
    return Dataset.open(root)


@pytest.fixture(scope="module")
def table(dataset: Dataset, checks: Checks) -> pd.DataFrame:
    return relate(measure_dataset(dataset.root, checks), dataset.embodiment, checks, fps=dataset.fps)


@pytest.fixture(scope="module")
def verdicts(table: pd.DataFrame) -> Verdicts:
    bad = table.loc[table["nan_count"] > 0, "episode_id"].iloc[0]
    warned = table["episode_id"].iloc[0]
    return Verdicts(table, {bad: [entry("nan", 4.0, 0.0)], warned: [entry("clock_jitter", severity="warn")]}, [])


def report_of(verdicts: Verdicts, **more: Any) -> dict[str, Any]:
    failed = verdicts.listed("error")
    return {
        "passed": False,
        "episodes": len(verdicts.table),
        "accepted": len(verdicts.table) - len(failed),
        "quarantined": len(failed),
        "dataset_digest": "d" * 64,
        "suite_digest": "5" * 64,
        "failed": failed,
        "warned": verdicts.listed("warn"),
        "limits": [{"name": "max_quarantined_share", "value": 0.5, "limit": 0.2, "passed": False, "severity": "error"}],
        "not_judged": {"joint_limit": "its state declares no limits"},
        **more,
    }


def written(dataset: Dataset, verdicts: Verdicts, checks: Checks, **more: Any) -> str:
    return page(dataset, verdicts, report_of(verdicts, **more), checks, docs_url="../docs/index.html")


def charts(html: str) -> list[dict[str, Any]]:
    (block,) = re.findall(r'<script type="application/json" id="charts">(.*?)</script>', html, re.DOTALL)
    found: list[dict[str, Any]] = json.loads(block)
    return found


def test_the_page_says_what_was_found(dataset: Dataset, verdicts: Verdicts, checks: Checks) -> None:
    html = written(dataset, verdicts, checks)
    assert "<h1>Checks: not passed</h1>" in html
    assert "10 episodes, 9 accepted, 1 set aside, 1 with warnings" in html
    assert "max_quarantined_share is 0.5, the limit is 0.2" in html
    assert '<a href="../docs/index.html">' in html
    assert "nan: nan_number is 4, the limit is 0" in html
    assert "clock_jitter (warning): clock_jitter_number is 2" in html
    assert "joint_limit</td><td>a measured place is out of reach</td><td>its state declares no limits" in html
    assert "There is none to compare with." in html
    assert html.count('<img src="data:image/jpeg') == 2 * 3
    assert "<script>alert" not in html


def test_every_chart_has_its_place_and_every_link_its_target(
    dataset: Dataset, verdicts: Verdicts, checks: Checks
) -> None:
    html = written(dataset, verdicts, checks, drift={"baseline": "b" * 64, "columns": {"path": 0.3}})
    body = html[: html.index("<script>")]
    assert re.findall(r'id="chart-(\d+)"', body) == [str(number) for number in range(len(charts(html)))]
    targets = re.findall(r'href="#([^"]+)"', body)
    assert targets
    assert all(f'id="{target}"' in body for target in targets)
    assert "Compared with <code>bbbbbbbbbbbb</code>" in body


def test_the_same_check_gives_the_same_bytes(dataset: Dataset, verdicts: Verdicts, checks: Checks) -> None:
    assert written(dataset, verdicts, checks) == written(dataset, verdicts, checks)


def test_a_long_list_is_cut_and_the_rest_is_counted(
    dataset: Dataset, verdicts: Verdicts, checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_module, "MOST_LISTED", 1)
    html = written(dataset, verdicts, checks)
    assert 'and 1 more, see <a href="checks.json">' in html
    assert "clock_jitter (warning)" not in html
    monkeypatch.setattr(report_module, "MOST_LISTED", 0)
    assert 'href="#' not in written(dataset, verdicts, checks)


def test_quality_is_shown_where_there_is_some(dataset: Dataset, verdicts: Verdicts, checks: Checks) -> None:
    assert '<section id="quality">' not in written(dataset, verdicts, checks)
    table = verdicts.table.assign(quality=np.linspace(0.1, 1.0, 10), quality_smooth=0.5)
    scored = written(dataset, Verdicts(table, verdicts.evidence, []), checks)
    assert re.search(r"<h3>The lowest</h3>.*?<td>0\.1</td><td>0\.5</td>", scored, re.DOTALL)
    assert [name for name, _ in quality(table, np.zeros(10, bool))] == ["quality", "quality_smooth"]


def test_codes_are_counted_by_severity() -> None:
    ((_, figure),) = by_code(Counter(idle=3, nan=1), Counter(idle=1, exposure=2))
    errors, warnings = figure["data"]
    assert errors["y"] == ["nan", "exposure", "idle"]
    assert (errors["x"], warnings["x"]) == ([1, 0, 3], [0, 2, 1])
    assert by_code(Counter(), Counter()) == []


@given(
    st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))), min_size=2, max_size=60).filter(
        lambda values: np.isfinite(values).any()
    ),
    st.floats(-1e6, 1e6),
    st.randoms(),
)
def test_a_histogram_counts_every_episode_and_reaches_to_the_limit(
    values: list[float], limit: float, random: Any
) -> None:
    array = np.array(values)
    set_aside = np.array([random.random() < 0.3 for _ in values])
    accepted, bad = histogram(array, set_aside, "path", limit)["data"]
    known = np.isfinite(array)
    assert len(accepted["y"]) == BINS
    assert sum(accepted["y"]) == (known & ~set_aside).sum()
    assert sum(bad["y"]) == (known & set_aside).sum()
    slack = max(accepted["width"], 1e-4 * abs(limit))
    assert accepted["x"][0] - slack <= limit <= accepted["x"][-1] + slack


def test_limits_are_drawn_and_what_is_alike_everywhere_is_left_out(
    table: pd.DataFrame, checks: Checks, dataset: Dataset
) -> None:
    found = dict(measures(table, np.zeros(len(table), bool), checks, dataset.embodiment))
    line = found["motion (idle)"]["layout"]["shapes"][0]
    assert (line["x0"], line["label"]["text"]) == (checks.idle_motion_m, f"at least {checks.idle_motion_m:g}")
    assert "length (too_short)" not in found
    assert "duplicate_of (duplicate_episode)" not in found


def test_a_page_of_many_episodes_has_small_charts(checks: Checks, dataset: Dataset, table: pd.DataFrame) -> None:
    many = pd.concat([table] * 2000, ignore_index=True)
    many["path"] = np.random.default_rng(0).normal(size=len(many))
    many["task"] = [f"task {number % 100}" for number in range(len(many))]
    nothing = np.zeros(len(many), bool)
    figures = [*measures(many, nothing, checks, dataset.embodiment), *coverage(many, nothing)]
    assert len(json.dumps(figures)) < 200_000
    title, cells = coverage(many, nothing)[0]
    assert len(cells["data"][0]["y"]) == 30
    assert title.endswith("without 70 tasks of fewer episodes")


def test_coverage_counts_what_was_accepted() -> None:
    table = pd.DataFrame({"task": ["open", "open", "close"], "robot_id": ["a", "b", "a"], "site": ["n", "n", None]})
    (_, robots), (_, sites) = coverage(table, np.array([False, True, False]))
    assert (robots["data"][0]["y"], robots["data"][0]["x"]) == (["close", "open"], ["a", "b"])
    assert robots["data"][0]["z"] == [[1, 0], [1, 0]]
    assert sorted(sites["data"][0]["x"]) == ["n", "not said"]


def test_drift_shows_the_most_moved_last_so_that_it_is_on_top() -> None:
    ((title, figure),) = drift({"baseline": "b", "columns": {"path": 0.3, "length": 0.01, "speed": 0.15, "odd": None}})
    assert title == "the 3 columns of 3 that moved most"
    assert figure["data"][0]["y"] == ["length", "speed", "path"]
    assert len(set(figure["data"][0]["marker"]["color"])) == 3
    assert drift({}) == []


def test_of_every_code_the_worst_is_shown() -> None:
    failed = [
        listed(0, entry("idle", 0.5, 1.0)),
        listed(1, entry("idle", 0.1, 1.0)),
        listed(2, entry("nan", 5.0, 0.0), entry("blurred", 9.0, 1.0)),
        listed(3, entry("duplicate_episode", "abc", None)),
    ]
    assert [found["episode_index"] for found in choose(failed)] == [1, 2, 3, 0]
    assert len(choose([listed(number, entry("idle")) for number in range(50)])) == MOST
    assert choose([]) == []


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_far_is_far_on_either_side_of_a_limit(value: float, limit: float) -> None:
    assert excess(entry("idle", value, limit)) == pytest.approx(excess(entry("idle", limit, value)), abs=1e-9)
    assert excess(entry("nan", value, 0.0)) == excess(entry("duplicate_episode", "abc", None)) == 0.0
