"""The lag between commands and motion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from components.checks.lag import MAX_LAG, action_lag
from components.core.spec import SAWYER_CELL


def driven(lag: int, noise: float, seed: int, ticks: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Hand [T, 3] that executes commands [T, 4] `lag` ticks late, disturbed."""
    rng = np.random.default_rng(seed)
    smooth = np.ones(3) / 3
    action = np.stack([np.convolve(rng.normal(size=ticks), smooth, "same") for _ in range(4)], axis=1)
    velocity = np.roll(action[:, :3], lag, axis=0) + noise * rng.normal(size=(ticks, 3))
    return np.cumsum(np.concatenate([np.zeros((1, 3)), 0.01 * velocity]), axis=0)[:ticks], action


@pytest.mark.parametrize("lag", range(-4, 5))
@pytest.mark.parametrize("seed", range(3))
def test_the_lag_is_found_under_disturbed_execution(lag: int, seed: int) -> None:
    hand, action = driven(lag, noise=0.2, seed=seed)
    found, score = action_lag(hand, action, SAWYER_CELL)
    assert found == lag
    assert score > 0.6


def test_no_lag_can_be_told_from_unrelated_motion() -> None:
    hand, _ = driven(1, noise=0.0, seed=1)
    _, action = driven(1, noise=0.0, seed=2)
    assert action_lag(hand, action, SAWYER_CELL) == (0, 0.0)


def test_no_lag_can_be_told_from_few_ticks_or_no_motion() -> None:
    hand, action = driven(3, noise=0.0, seed=1)
    assert action_lag(hand[:10], action[:10], SAWYER_CELL) == (0, 0.0)
    assert action_lag(np.zeros_like(hand), action, SAWYER_CELL) == (0, 0.0)
    assert action_lag(hand, np.zeros_like(action), SAWYER_CELL) == (0, 0.0)


def test_a_few_lost_samples_do_not_hide_the_lag() -> None:
    hand, action = driven(2, noise=0.1, seed=5)
    hand[10:13] = np.nan
    assert action_lag(hand, action, SAWYER_CELL)[0] == 2


def test_absolute_actions_have_no_lag_of_this_kind() -> None:
    hand, action = driven(3, noise=0.0, seed=1)
    groups = tuple(replace(group, representation="absolute") for group in SAWYER_CELL.action.groups)
    absolute = replace(SAWYER_CELL, action=replace(SAWYER_CELL.action, groups=groups))
    assert action_lag(hand, action, absolute) == (0, 0.0)


def test_the_step_group_is_found_wherever_it_stands() -> None:
    hand, action = driven(2, noise=0.0, seed=1)
    groups = SAWYER_CELL.action.groups[::-1]
    turned = replace(SAWYER_CELL, action=replace(SAWYER_CELL.action, groups=groups))
    assert action_lag(hand, np.roll(action, 1, axis=1), turned)[0] == 2


@pytest.mark.parametrize("huge", [np.inf, 3e38])
def test_numbers_beyond_reason_give_no_lag_and_no_warning(huge: float) -> None:
    hand, action = driven(1, noise=0.0, seed=1)
    hand[5:9] = huge
    lag, score = action_lag(hand, action, SAWYER_CELL)
    assert abs(lag) <= MAX_LAG
    assert np.isfinite(score)
