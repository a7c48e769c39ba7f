from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from components.dataset.episode_table import open_connection
from components.view import coverage as coverage_module
from components.view.coverage import cells, coverage, days

Episode = tuple[str, str, str]
Counted = Callable[[list[Episode]], Any]


@pytest.fixture
def counted() -> Counted:
    """Task, robot and day of each episode, as the table that a card counts."""

    def make(episodes: list[Episode]) -> Any:
        connection = open_connection()
        connection.execute(
            "CREATE TABLE counted (task VARCHAR, robot_id VARCHAR, day VARCHAR,"
            " site VARCHAR DEFAULT '', scene VARCHAR DEFAULT '', collector_id VARCHAR DEFAULT 'anna')"
        )
        connection.executemany("INSERT INTO counted (task, robot_id, day) VALUES (?, ?, ?)", episodes)
        return connection

    return make


def test_pairs_without_an_episode_and_thin_ones_are_gaps(counted: Counted) -> None:
    episodes = [("open", "a", "")] * 20 + [("open", "b", "")] * 9 + [("close", "a", "")] * 10 + [("pour", "c", "")]
    found = cells(counted(episodes), "robot_id")
    assert (found["tasks"], found["values"]) == (3, 3)
    assert found["thin_at"] == pytest.approx(0.2 * 40 / 9)
    assert (found["empty"], found["thin"]) == (5, 0)
    assert [(gap["task"], gap["value"]) for gap in found["gaps"]] == [
        ("open", "c"),
        ("close", "b"),
        ("close", "c"),
        ("pour", "a"),
        ("pour", "b"),
    ]
    table = found["table"]
    assert (table["tasks"], table["values"]) == (["open", "close", "pour"], ["a", "b", "c"])
    assert table["episodes"] == [[20, 9, 0], [10, 0, 0], [0, 0, 1]]


def test_a_thin_pair_is_counted_after_the_empty_ones(counted: Counted) -> None:
    episodes = [("open", "a", "")] * 50 + [("open", "b", "")] * 50 + [("close", "a", "")] * 2
    found = cells(counted(episodes), "robot_id")
    assert (found["empty"], found["thin"]) == (1, 1)
    assert [(gap["value"], gap["episodes"]) for gap in found["gaps"]] == [("b", 0), ("a", 2)]


@pytest.mark.parametrize("robots", [("a", "a"), ("a", ""), ("", "")])
def test_one_value_alone_leaves_no_gap(counted: Counted, robots: tuple[str, str]) -> None:
    assert cells(counted([("open", robots[0], ""), ("close", robots[1], "")]), "robot_id") == {}


def test_a_large_table_shows_the_most_frequent_and_counts_all(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage_module, "MOST_VALUES", 2)
    monkeypatch.setattr(coverage_module, "MOST_LISTED", 1)
    episodes = [(f"task-{at}", f"robot-{at}", "") for at in range(4) for _ in range(4 - at)]
    found = cells(counted(episodes), "robot_id")
    assert found["table"]["tasks"] == ["task-0", "task-1"]
    assert found["empty"] == 12
    assert len(found["gaps"]) == 1


def test_where_every_episode_has_a_task_of_its_own_only_frequent_ones_are_crossed(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage_module, "_MOST_CROSSED", 2)
    episodes = [("often", "a", ""), ("often", "b", ""), *((f"task-{at}", "ab"[at % 2], "") for at in range(6))]
    found = cells(counted(episodes), "robot_id")
    assert (found["tasks"], found["values"], found["empty"]) == (7, 2, 6)
    assert [(gap["task"], gap["value"]) for gap in found["gaps"]] == [("task-0", "b")]


def test_days_without_a_recording_are_found(counted: Counted) -> None:
    dates = ["2026-02-27", "2026-02-27", "2026-03-01", "2026-03-01", "2026-03-10", "", "2026-13-99"]
    found = days(counted([("open", "a", day) for day in dates]))
    assert found["recorded"][0] == {"day": "2026-02-27", "episodes": 2}
    assert found["gaps"] == [
        {"after": "2026-03-01", "before": "2026-03-10", "days": 8},
        {"after": "2026-02-27", "before": "2026-03-01", "days": 1},
    ]
    assert (found["without"], found["undated"]) == (9, 2)


def test_no_date_at_all_is_no_gap(counted: Counted) -> None:
    assert days(counted([("open", "a", "")])) == {"recorded": [], "without": 0, "gaps": [], "undated": 1}


def test_every_column_is_crossed(counted: Counted) -> None:
    found = coverage(counted([("open", "a", ""), ("close", "b", "")]))
    assert {name: bool(value) for name, value in found["cells"].items()} == {
        "robot_id": True,
        "site": False,
        "scene": False,
        "collector_id": False,
    }
