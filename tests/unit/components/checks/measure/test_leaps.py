"""Commands that leap for a tick, and whether the robot followed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from components.checks.channels import Channels
from components.checks.measure.leaps import leap
from components.core.embodiment_files import embodiment
from components.core.spec import SAWYER_CELL

CELL = Channels(SAWYER_CELL)
ARMS = Channels(embodiment("aloha"))
TICK = 30


def measured(values: np.ndarray, channels: Channels = CELL) -> float:
    return leap(values, np.diff(values, axis=0), channels)


def commanded(action: np.ndarray) -> np.ndarray:
    """[T, C] of a cell that stands still, whatever it is told."""
    values = np.zeros((len(action), len(CELL)))
    values[:, CELL.action] = action
    return values


def commands(**at: float) -> np.ndarray:
    """[9, 4] zeros, but for column x, y, z or g of the middle tick."""
    action = np.zeros((9, 4))
    for name, value in at.items():
        action[4, "xyzg".index(name)] = value
    return action


def smooth(ticks: int, width: int) -> np.ndarray:
    phase = np.random.default_rng(0).uniform(0, 1, (2, width))
    return np.asarray(0.4 * np.sin(2 * np.pi * (np.arange(ticks)[:, None] * (0.02 + 0.03 * phase[0]) + phase[1])))


def driven(channels: Channels, *, followed: float, lag: int = 1) -> np.ndarray:
    """[T, C]: one command leaps by half its range; of that `followed` shows in the state, `lag` ticks later."""
    values = np.zeros((60, len(channels)))
    for number, pairing in enumerate(channels.pairings):
        told = smooth(len(values), len(pairing.action))
        obeyed = told.copy()
        if not number:
            low, high = (limit[pairing.action[0]] for limit in (channels.low, channels.high))
            size = -np.sign(told[TICK, 0]) * (high - low) / 2
            told[TICK, 0] += size
            obeyed[TICK, 0] += followed * size
        late = np.concatenate([np.repeat(obeyed[:1], lag, axis=0), obeyed[: len(values) - lag]])
        values[:, pairing.action] = told
        values[:, pairing.state] = 0.03 * np.cumsum(late, axis=0) if pairing.delta else late
    return values


def test_a_leap_is_measured_in_ranges_of_the_commands() -> None:
    assert measured(commanded(commands(x=1.0))) == pytest.approx(0.5)
    assert measured(commanded(commands(x=-0.6, y=0.8))) == pytest.approx(0.5)
    assert measured(commanded(commands(x=0.2))) == pytest.approx(0.1)


def test_of_two_neighbours_the_nearer_one_counts() -> None:
    action = commands(z=0.9)
    action[5, 2] = 0.3
    assert measured(commanded(action)) == pytest.approx(0.3)


def test_a_step_that_stays_a_ramp_two_ticks_and_a_gripper_are_no_leap() -> None:
    stays = np.repeat(commands(x=1.0)[:5], [1, 1, 1, 1, 5], axis=0)
    ramp = np.linspace(-1, 1, 9)[:, None] * np.ones(4)
    twice = np.repeat(commands(x=1.0), [1, 1, 1, 1, 2, 1, 1, 1, 1], axis=0)
    for action in (stays, ramp, twice, commands(g=1.0), commands(x=1.0)[:5], commands(x=1.0)[4:]):
        assert measured(commanded(action)) == 0.0


@pytest.mark.parametrize("ticks", [1, 2])
def test_without_neighbours_on_both_sides_there_is_no_leap(ticks: int) -> None:
    assert measured(commanded(commands(x=1.0)[4 : 4 + ticks])) == 0.0


def test_three_ticks_are_enough() -> None:
    assert measured(commanded(commands(x=1.0)[3:6])) == pytest.approx(0.5)


@pytest.mark.parametrize(("channels", "followed"), [(CELL, 0.0), (CELL, 0.5), (CELL, 1.0), (ARMS, 0.0), (ARMS, 1.0)])
def test_a_leap_counts_by_the_share_that_the_motion_did_not_follow(channels: Channels, followed: float) -> None:
    assert measured(driven(channels, followed=followed), channels) == pytest.approx(0.5 * (1 - followed), abs=0.12)


@pytest.mark.parametrize("channels", [CELL, ARMS], ids=["steps", "places"])
def test_a_robot_may_follow_late_and_be_disturbed(channels: Channels) -> None:
    for lag in (1, 2, 3):
        values = driven(channels, followed=1.0, lag=lag)
        noise = np.random.default_rng(lag).normal(0, 1e-3, (len(values), channels.measured.stop))
        values[:, channels.measured] += noise
        assert measured(values, channels) < 0.1


def test_it_is_one_of_many_leaps_that_the_robot_did_not_follow() -> None:
    values = driven(CELL, followed=1.0)
    values[10, CELL.action.start + 1] -= np.sign(values[10, CELL.action.start + 1])
    assert measured(values) == pytest.approx(0.5, abs=0.12)


@given(action=hnp.arrays(np.float64, st.tuples(st.integers(1, 9), st.just(4)), elements=st.floats(-1, 1)))
def test_no_command_within_its_limits_leaps_further_than_all_of_them(action: np.ndarray) -> None:
    assert 0.0 <= measured(commanded(action)) <= math.sqrt(3) + 1e-9


@given(values=hnp.arrays(np.float64, (8, len(CELL)), elements=st.floats(-1, 1)))
def test_whatever_the_motion_a_leap_counts_at_most_as_a_whole(values: np.ndarray) -> None:
    assert 0.0 <= measured(values) <= measured(commanded(values[:, CELL.action])) + 1e-9
