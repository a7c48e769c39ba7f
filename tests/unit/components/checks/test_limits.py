"""The dataset as a whole: each limit as plain Python would judge it, its severity, and drift."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from beside import helpers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.checks.gx import Judge
from components.checks.limits import Limit, judge_limits, limit_suites
from components.checks.profile import chance, profile_of
from components.checks.suite import LIMITS
from components.checks.verdicts import judge_dataset
from components.core.params import Checks

TABLES: ModuleType = helpers(Path(__file__).with_name("tables.py"))
COUNT = 40
Found = dict[str, tuple[float, bool]]


@st.composite
def datasets(draw: st.DrawFn) -> tuple[pd.DataFrame, list[bool]]:
    """Few names, some of them empty, and few different numbers, some of them missing; and which rows are accepted."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(1, 60))
    names = {name: rng.choice(["", "a", "b", "c"], count) for name in ("robot_id", "site", "scene", "instruction")}
    numbers = {name: rng.choice([0.0, 1.0, 2.5, np.nan], count) for name in ("ldlj", "brightness_top")}
    table = pd.DataFrame(
        {
            "episode_id": [str(n) for n in range(count)],
            "task": rng.choice(["x", "y"], count),
            **names,
            **numbers,
            "path": rng.normal(draw(st.sampled_from([0.0, 3.0])), 1.0, count).round(1),
        }
    ).astype(dict.fromkeys(names, object))
    return table, [bool(value) for value in rng.random(count) < draw(st.sampled_from([0.0, 0.5, 1.0]))]


def expected_groups(table: pd.DataFrame, accepted: Sequence[bool], p: Checks) -> Found:
    rows = [row | {"ok": ok} for row, ok in zip(table.to_dict("records"), accepted, strict=True)]
    found: Found = {}
    for task in {row["task"] for row in rows}:
        own = [row for row in rows if row["task"] == task and row["ok"]]
        shares = [n / len(own) for n in Counter(row["instruction"] for row in own).values()]
        said = math.exp(-sum(share * math.log(share) for share in shares)) if own else 0.0
        robots, sites = ({row[key] for row in own} - {""} for key in ("robot_id", "site"))
        found[f"min_episodes_per_task:{task}"] = len(own), len(own) >= p.min_episodes_per_task
        found[f"min_robots_per_task:{task}"] = len(robots), len(robots) >= p.min_robots_per_task
        found[f"min_sites_per_task:{task}"] = len(sites), len(sites) >= p.min_sites_per_task
        found[f"instruction_mismatch_rate:{task}"] = said, said >= p.min_phrasings_per_task
    for kind, key, limit in (
        ("robot", "robot_id", p.max_quarantined_share_of_robot),
        ("site", "site", p.max_quarantined_share_of_site),
    ):
        for name in {row[key] for row in rows} - {""}:
            bad = [not row["ok"] for row in rows if row[key] == name]
            found[f"max_quarantined_share_of_{kind}:{name}"] = sum(bad) / len(bad), sum(bad) <= limit * len(bad)
    return found


def expected_dataset(table: pd.DataFrame, accepted: Sequence[bool], p: Checks) -> Found:
    left = table[list(accepted)]
    scenes, said = (len(set(left[key]) - {""}) for key in ("scene", "instruction"))
    away = 1 - sum(accepted) / len(accepted)
    return {
        "max_quarantined_share": (away, away <= p.max_quarantined_share),
        "min_scenes": (scenes, scenes >= p.min_scenes),
        "min_instructions": (said, said >= p.min_instructions),
    }


def expected_psi(values: list[Any], stored: dict[str, Any], limit: float) -> tuple[float, bool]:
    """Bin by bin, with comparisons."""
    bins, before = stored["bins"], stored["counts"]
    if isinstance(bins[0], str):
        after = [sum(value == name for value in values) for name in bins]
        after.append(len(values) - sum(after))
    else:
        borders = [-math.inf, *bins, math.inf]
        after = [sum(low <= v < high for v in values) for low, high in pairwise(borders)]
    old, new = (np.array(counts) + 0.5 for counts in (before, after))
    old, new = old / old.sum(), new / new.sum()
    index = sum((b - a) * (math.log(b) - math.log(a)) for a, b in zip(old, new, strict=True))
    return index, index <= max(limit, chance(before, after))


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    now=datasets(),
    before=datasets(),
    least=st.integers(0, 3),
    share=st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    drift=st.sampled_from([0.01, 0.25, 2.0]),
)
def test_every_limit_is_judged_as_plain_python_would(
    now: tuple[pd.DataFrame, list[bool]],
    before: tuple[pd.DataFrame, list[bool]],
    least: int,
    share: float,
    drift: float,
    params: Checks,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    table, accepted = now
    p = params.model_copy(
        update=dict.fromkeys([n for n in Checks.model_fields if n.startswith("min_") and n != "min_frames"], least)
        | dict.fromkeys([n for n in Checks.model_fields if n.startswith("max_quarantined")], share)
        | {"max_drift": drift}
    )
    stored = profile_of(before[0][before[1]], "b" * 64)
    limits = judge_limits(table, accepted, p, Judge(tmp_path_factory.mktemp("random") / "docs"), stored)
    expected = expected_groups(table, accepted, p) | expected_dataset(table, accepted, p)
    for name, one in stored["columns"].items():
        values = [v for v, ok in zip(table[name], accepted, strict=True) if ok and v == v]
        expected[f"max_drift:{name}"] = expected_psi(values, one, drift)
    assert {limit.name: limit.passed for limit in limits} == {name: passed for name, (_, passed) in expected.items()}
    assert {limit.name: limit.value for limit in limits} == pytest.approx({n: v for n, (v, _) in expected.items()})


def judged(table: pd.DataFrame, params: Checks, folder: Path, **more: Any) -> dict[str, Limit]:
    verdicts = judge_dataset(table, params, Judge(folder / "docs"), TABLES.ANY, **more)
    return {limit.name: limit for limit in verdicts.limits}


def test_a_robot_whose_episodes_are_mostly_bad_is_named(params: Checks, tmp_path: Path) -> None:
    table = TABLES.passing(params, COUNT)
    bad = table["robot_id"] == "cell-2"
    found = judged(table.assign(nan_count=bad.astype(float)), params, tmp_path)
    name = "max_quarantined_share_of_robot:cell-2"
    assert [one for one, limit in found.items() if not limit.passed] == [name, "max_quarantined_share"]
    assert found[name] == Limit(name, 1.0, params.max_quarantined_share_of_robot, False, "warn")


def test_sources_without_a_name_are_not_judged(params: Checks, tmp_path: Path) -> None:
    table = TABLES.passing(params, COUNT).assign(robot_id="", site="")
    found = judged(table, params, tmp_path)
    assert not [name for name in found if "_of_" in name]
    assert found["min_robots_per_task:drawer-open"].value == 0


def test_another_light_and_a_new_task_are_drift_and_the_same_again_is_none(params: Checks, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    table = TABLES.passing(params, 200).assign(brightness_top=rng.normal(100, 5, 200), ldlj=rng.normal(-9, 1, 200))
    stored = profile_of(table, "b" * 64)
    same = judged(table, params, tmp_path, baseline=stored)
    assert {limit.value for name, limit in same.items() if name.startswith("max_drift:")} == {0.0}
    other = table.assign(brightness_top=table["brightness_top"] + 20, task=table["task"].replace("handle-pull", "new"))
    found = judged(other, params, tmp_path / "other", baseline=stored)
    assert {n for n, limit in found.items() if not limit.passed} == {"max_drift:brightness_top", "max_drift:task"}
    assert found["max_drift:task"].severity == "warn"


def test_drift_at_its_limit_passes_and_beyond_it_does_not(params: Checks, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    table = TABLES.passing(params, 2000).assign(ldlj=rng.normal(-9, 1, 2000))
    stored, other = profile_of(table, "b" * 64), table.assign(ldlj=table["ldlj"] + 0.6)
    found = []
    limit = params.max_drift
    for step in range(3):
        p = params.model_copy(update={"max_drift": limit})
        one = judged(other, p, tmp_path / str(step), baseline=stored)["max_drift:ldlj"]
        found.append(one.passed)
        limit = (one.value, np.nextafter(one.value, 0), 1.0)[step]
    assert 0.25 < one.value < 0.6
    assert found == [False, True, False]


def test_drift_is_shown_in_the_data_docs(params: Checks, tmp_path: Path) -> None:
    table = TABLES.passing(params, COUNT)
    with Judge(tmp_path / "docs") as judge:
        judge_dataset(table, params, judge, TABLES.ANY, profile_of(table, "b" * 64))
    (page,) = (tmp_path / "docs/validations/dataset").rglob("*.html")
    assert "population stability index against the accepted version before must be at most" in page.read_text()


def test_every_limit_is_asked_once_and_may_be_of_either_severity(params: Checks) -> None:
    table = profile_of(TABLES.passing(params, COUNT), "b" * 64)
    for warn, severity in (((), "error"), (LIMITS, "warn")):
        suites = limit_suites(params.model_copy(update={"warn": warn}), {})
        asked = [e.meta for suite in suites.values() for e in suite]
        assert sorted(meta["code"] for meta in asked) == sorted(set(LIMITS) - {"max_drift"})
        assert {meta["severity"] for meta in asked} == {severity}
    assert set(table["columns"]) == {"length", "task", "robot_id", "site"}
