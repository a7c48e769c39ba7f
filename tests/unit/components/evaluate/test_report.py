from __future__ import annotations

import csv
import io

import pytest

from components.evaluate.closed_loop import Rollout
from components.evaluate.intervals import wilson
from components.evaluate.report import CONFIDENCE, make_report, success_csv, success_png


def _rollouts(policy: str, task: str, results: str) -> list[Rollout]:
    return [
        Rollout(policy, task, task, 100 + index, "go", letter == "y", letter == "y", 10 + index, 3)
        for index, letter in enumerate(results)
    ]


def _told_another(policy: str, scene: str, asked: str, results: str) -> list[Rollout]:
    """y: did what it was told; s: did that of the scene; n: neither."""
    return [
        Rollout(policy, scene, asked, 100 + index, "go", letter == "y", letter == "s", 10, 3)
        for index, letter in enumerate(results)
    ]


@pytest.fixture
def report():
    rollouts = [
        *_rollouts("seed-1", "handle-pull", "yyyn"),
        *_rollouts("seed-1", "drawer-open", "yy"),
        *_rollouts("blind", "drawer-open", "nn"),
    ]
    return make_report(rollouts, {"seed-1": "a" * 64, "blind": "b" * 64, "left-out": "c" * 64})


def test_counts_rates_and_intervals(report):
    policies = report["policies"]
    assert list(policies) == ["blind", "seed-1"]
    assert policies["seed-1"]["bundle"] == "a" * 64
    low, high = wilson(3, 4, CONFIDENCE)
    expected = {"successes": 3, "n": 4, "rate": 0.75, "low": low, "high": high, "mean_steps": 11.5}
    assert policies["seed-1"]["tasks"]["handle-pull"] == expected
    assert policies["blind"]["tasks"]["drawer-open"]["rate"] == 0.0


def test_the_mean_is_over_tasks_and_not_over_rollouts(report):
    assert report["policies"]["seed-1"]["mean"] == pytest.approx((0.75 + 1.0) / 2)


def test_the_table_holds_the_same_numbers(report):
    rows = list(csv.DictReader(io.StringIO(success_csv(report))))
    assert [(row["policy"], row["task"], int(row["successes"]), int(row["n"])) for row in rows] == [
        ("blind", "drawer-open", 0, 2),
        ("seed-1", "drawer-open", 2, 2),
        ("seed-1", "handle-pull", 3, 4),
    ]


@pytest.fixture
def swapped():
    rollouts = [
        *_rollouts("seed-1", "faucet-open", "yyyy"),
        *_told_another("seed-1", "faucet-open", "faucet-close", "yyysn"),
        *_rollouts("wordless", "faucet-open", "nyyy"),
    ]
    return make_report(rollouts, {"seed-1": "a" * 64, "wordless": "b" * 64})


def test_rollouts_that_were_told_another_task_count_apart(swapped):
    seeing = swapped["policies"]["seed-1"]
    assert (seeing["tasks"]["faucet-open"]["n"], seeing["mean"]) == (4, 1.0)
    low, high = wilson(3, 5, CONFIDENCE)
    numbers = {"did_asked": 3, "did_scene": 1, "n": 5, "rate": 0.6, "low": low, "high": high}
    assert seeing["swapped"] == {"faucet-open": {"asked": "faucet-close", **numbers}}
    assert "swapped" not in swapped["policies"]["wordless"]
    assert len(success_csv(swapped).splitlines()) == 3


def test_the_chart_is_a_picture_and_the_same_every_time(report):
    picture = success_png(report)
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert success_png(report) == picture
    assert b"Software" not in picture
    report["policies"]["seed-1"]["tasks"]["drawer-open"]["rate"] = 0.5
    assert success_png(report) != picture
