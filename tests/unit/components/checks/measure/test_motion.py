"""How the hand moves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from components.checks.measure import motion

FPS = 20.0


def measured(hand: np.ndarray, fps: float = FPS, still: float = 0.5) -> dict[str, float]:
    return motion.motion(hand, motion.lengths(np.diff(hand, axis=0)), fps, still)


def reach(ticks: int, exponent: float = 1.0) -> np.ndarray:
    """Half a turn of a cosine along one axis: a smooth way from 0 to 1."""
    return ((1 - np.cos(np.pi * np.linspace(0, 1, ticks))) / 2)[:, None] ** exponent


@given(steps=hnp.arrays(np.float64, (7, 3), elements=st.floats(-1e6, 1e6)))
def test_lengths_are_euclidean(steps: np.ndarray) -> None:
    assert motion.lengths(steps) == pytest.approx(np.linalg.norm(steps, axis=1))


def test_the_way_by_hand() -> None:
    found = measured(np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 4.0], [0.0, 4.0]]))
    assert (found["motion"], found["path"]) == (5.0, 8.0)
    assert found["path_efficiency"] == 0.5
    assert found["idle_share"] == pytest.approx(1 / 3)


def test_nothing_can_be_said_of_a_hand_that_stands() -> None:
    found = measured(np.ones((9, 3)))
    assert (found["motion"], found["path"], found["idle_share"]) == (0.0, 0.0, 1.0)
    assert math.isnan(found["path_efficiency"])
    assert math.isnan(found["ldlj"])
    assert measured(np.ones((1, 3)))["idle_share"] == 1.0


def test_smoothness_is_that_of_the_plain_formula_and_has_no_unit() -> None:
    hand = reach(41)
    speed = np.abs(np.diff(hand[:, 0])) * FPS
    jerk, duration_s = np.diff(speed, n=2) * FPS**2, 40 / FPS
    plain = -math.log((jerk**2).sum() / FPS * duration_s**3 / speed.max() ** 2)
    assert measured(hand)["ldlj"] == pytest.approx(plain)
    assert measured(1000 * hand)["ldlj"] == pytest.approx(plain)
    assert measured(hand, fps=10.0)["ldlj"] == pytest.approx(plain)


def test_a_shaky_hand_is_less_smooth() -> None:
    shaky = reach(41) + np.random.default_rng(0).normal(0, 0.01, (41, 1))
    assert measured(shaky)["ldlj"] < measured(reach(41))["ldlj"] - 3
