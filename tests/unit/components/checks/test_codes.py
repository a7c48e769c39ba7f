"""What is not judged, and why."""

from __future__ import annotations

from types import ModuleType

from components.checks.codes import CHECKS, CODES, COMPARED, FEWEST, NEEDS, not_judged
from components.core.params import Checks


def test_a_robot_that_has_everything_is_judged_by_everything() -> None:
    assert not_judged(frozenset(NEEDS), FEWEST) == {}


def test_what_a_robot_lacks_is_the_reason() -> None:
    found = not_judged(frozenset(NEEDS) - {"limits"}, FEWEST)
    assert found == {"joint_limit": NEEDS["limits"]}


def test_a_dataset_of_few_episodes_is_compared_with_nothing() -> None:
    found = not_judged(frozenset(NEEDS) - {"cameras"}, FEWEST - 1)
    assert set(found) == set(COMPARED) <= set(CODES)
    assert found["camera_swapped"] == NEEDS["cameras"]
    assert "fewer than 8 episodes" in found["outlier_episode"]


def test_checks_that_compare_say_one_number_where_there_are_few(params: Checks, episodes: ModuleType) -> None:
    table = episodes.table_of([episodes.good(seed) for seed in range(FEWEST - 1)], params)
    columns = [rule.column for check in CHECKS if check.code in COMPARED for rule in check.rules]
    assert all(table[column].nunique() == 1 for column in columns)
