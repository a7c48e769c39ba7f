"""Episodes unlike all others of their task."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.checks.own.outlier import outlier
from components.checks.own.rows import FEWEST, Rows
from components.core.params import Checks

CENTRE = {"length": 100.0, "path": 0.5, "motion": 0.3, "idle_share": 0.1, "path_efficiency": 0.6, "ldlj": -9.0}
CENTRE |= {"brightness_fixed": 100.0, "brightness_wrist": 90.0}


def columns_of(body: Any, count: int = 30, **last: Any) -> dict[str, np.ndarray]:
    """Of rows that scatter by a fifth of what is allowed at least, the last of which is as said."""
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {n: (c * (1 + rng.normal(0, 0.02, count))).tolist() for n, c in CENTRE.items()}
    for name, value in last.items():
        columns[name][-1] = value
    return outlier(Rows(pa.table(columns | {"task": ["drawer"] * count}), body))


def scores(body: Any, count: int = 30, **last: Any) -> np.ndarray:
    return columns_of(body, count, **last)["outlier_score"]


def test_good_ones_score_low_and_one_that_is_odd_in_all_high(episodes: ModuleType, params: Checks) -> None:
    found = scores(episodes.CELL, length=900.0, path=4.0, motion=1.0, ldlj=-30.0)
    assert found[:-1].max() < params.outlier_score_max / 3
    assert found[-1] > params.outlier_score_max


def test_ratios_are_odd_to_either_side(episodes: ModuleType) -> None:
    large, small = (scores(episodes.CELL, length=100.0 * 2**k)[-1] for k in (2, -2))
    assert large == pytest.approx(small, rel=0.1)


def test_the_oddest_feature_decides_and_the_others_are_shown(episodes: ModuleType) -> None:
    found = columns_of(episodes.CELL, length=300.0, ldlj=-10.5, brightness_wrist=60.0)
    odd = {name: values for name, values in found.items() if name != "outlier_score"}
    assert set(odd) == {f"odd_{name}" for name in (*CENTRE, "speed")}
    assert found["outlier_score"].tolist() == np.abs(list(odd.values())).max(axis=0).tolist()
    assert found["outlier_score"][-1] == abs(odd["odd_speed"][-1]) == pytest.approx(abs(odd["odd_length"][-1]), rel=0.1)
    assert -9 < odd["odd_brightness_wrist"][-1] < -7 < -4 < odd["odd_ldlj"][-1] < -2
    assert abs(odd["odd_motion"][-1]) < 1


def test_as_far_in_as_long_is_no_other_speed(episodes: ModuleType) -> None:
    found = columns_of(episodes.CELL, length=300.0, path=1.5)
    assert abs(found["odd_speed"][-1]) < 1
    assert found["odd_path"][-1] == pytest.approx(np.log(3) / 0.1, rel=0.1)


@pytest.mark.parametrize("idle", [0.6, 0.9])
def test_shares_are_compared_as_they_are(episodes: ModuleType, idle: float) -> None:
    found = columns_of(episodes.CELL, idle_share=idle)["odd_idle_share"][-1]
    assert found == pytest.approx((idle - CENTRE["idle_share"]) / 0.1, rel=0.05)


@pytest.mark.parametrize("name", sorted(CENTRE))
def test_every_feature_counts(episodes: ModuleType, name: str) -> None:
    assert scores(episodes.CELL, **{name: 8 * CENTRE[name]})[-1] > scores(episodes.CELL)[-1] + 3


def test_what_cannot_be_told_of_a_hand_that_stands_is_not_odd(episodes: ModuleType) -> None:
    found = scores(episodes.CELL, ldlj=float("nan"), path_efficiency=float("nan"))
    assert found[-1] < 2


def test_few_episodes_are_all_usual(episodes: ModuleType) -> None:
    assert not scores(episodes.CELL, FEWEST - 1, length=900.0).any()
    assert scores(episodes.CELL, FEWEST, length=900.0)[-1] > 0
