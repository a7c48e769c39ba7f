"""Lags and sums of commands and motion."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from components.checks.channels import Channels
from components.checks.measure import coupling
from components.checks.measure.coupling import LAGS, MAX_LAG, PARTS, TAPS
from components.core.embodiment_files import embodiment
from components.core.spec import SAWYER_CELL

CELL = Channels(SAWYER_CELL)
ARMS = Channels(embodiment("aloha"))
# A gripper without an arm.
ALONE = Channels(replace(SAWYER_CELL, action=replace(SAWYER_CELL.action, groups=SAWYER_CELL.action.groups[1:])))


def smooth(ticks: int, width: int, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(ticks + 4, width))
    return sum(noise[shift : shift + ticks] for shift in range(5)) / 5


def driven(channels: Channels, lag: int, seed: int = 0, ticks: int = 60, noise: float = 0.0) -> np.ndarray:
    """[T, C]: what is paired follows its commands `lag` ticks late; all else stands still."""
    values = np.zeros((ticks, len(channels)))
    rng = np.random.default_rng(seed + 100)
    for pairing in channels.pairings:
        way = smooth(ticks + 2 * MAX_LAG, len(pairing.action), seed)
        told, moved = way[MAX_LAG : MAX_LAG + ticks], way[MAX_LAG - lag : MAX_LAG - lag + ticks]
        moved = moved + noise * rng.normal(size=moved.shape) * moved.std()
        values[:, pairing.action] = told
        if pairing.delta:
            values[1:, pairing.state] = 0.02 * np.cumsum(moved, axis=0)[:-1]
        else:
            values[:, pairing.state] = moved
    return values


def scores(values: np.ndarray, channels: Channels) -> np.ndarray:
    return coupling.lag_scores(values, np.diff(values, axis=0), channels)


@pytest.mark.parametrize("lag", range(-4, 6))
@pytest.mark.parametrize("channels", [CELL, ARMS], ids=["steps", "places"])
def test_the_score_is_highest_at_the_lag(channels: Channels, lag: int) -> None:
    found = scores(driven(channels, lag), channels)
    assert LAGS[found.argmax()] == lag
    assert found.max() == pytest.approx(1.0, abs=0.02)
    assert (np.abs(found) <= 1.0 + 1e-9).all()


@pytest.mark.parametrize("seed", range(3))
def test_disturbed_execution_hides_no_lag(seed: int) -> None:
    found = scores(driven(CELL, 2, seed=seed, noise=0.3), CELL)
    assert LAGS[found.argmax()] == 2
    assert 0.6 < found.max() < 1.0


def test_scores_are_those_of_the_plain_formula() -> None:
    values = driven(CELL, 1, noise=0.5)
    told, moved = values[:-1, CELL.action][:, :3], np.diff(values, axis=0)[:, :3]
    told, moved = (v - v.mean(axis=0) for v in (told, moved))
    told, moved = (v / v.std(axis=0) for v in (told, moved))
    for lag, score in zip(LAGS.tolist(), scores(values, CELL).tolist(), strict=True):
        one, other = told[max(0, -lag) : len(told) - max(0, lag)], moved[max(0, lag) : len(moved) + min(0, lag)]
        assert score == pytest.approx((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum()))


def test_unrelated_motion_scores_low() -> None:
    values = driven(CELL, 1)
    values[:, CELL.action] = driven(CELL, 1, seed=7)[:, CELL.action]
    assert scores(values, CELL).max() < 0.5


def test_nothing_can_be_told_from_few_ticks_no_motion_or_no_pairing() -> None:
    values = driven(CELL, 1)
    assert not ALONE.pairings
    still = values.copy()
    still[:, CELL.measured] = 0.3
    for which, channels in ((values[:12], CELL), (still, CELL), (values[:, :-3], ALONE)):
        assert scores(which, channels).tolist() == [0.0] * len(LAGS)


def test_wanted_is_a_commanded_step_as_it_is_and_of_a_place_what_is_left_to_go() -> None:
    values = driven(CELL, 1)
    (pairing,) = CELL.pairings
    assert (coupling.wanted(values, pairing) == values[:-1, CELL.action][:, :3]).all()
    values = driven(ARMS, 3)
    for pairing in ARMS.pairings:
        left = values[:-1, pairing.action] - values[:-1, pairing.state]
        assert (coupling.wanted(values, pairing) == left).all()


def summed(values: np.ndarray, channels: Channels) -> dict[str, np.ndarray]:
    return dict(coupling.sums(values, np.diff(values, axis=0), channels))


def plain_parts(values: np.ndarray, channels: Channels) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """As `split_parts`, of one episode, tick by tick."""
    found, count = [], len(values) - 1
    cuts = [round(count * part / PARTS) for part in range(PARTS + 1)]
    for pairing in channels.pairings:
        told, moved = coupling.wanted(values, pairing), np.diff(values, axis=0)[:, pairing.state]
        width = len(pairing.state)
        blocks = [list(range(width))] if pairing.delta else [[number] for number in range(width)]
        shape = (PARTS, len(blocks), TAPS * len(blocks[0]))
        both = np.zeros((*shape, shape[-1])), np.zeros((*shape, len(blocks[0]))), np.zeros((*shape[:2], len(blocks[0])))
        for part, (start, end) in enumerate(itertools.pairwise(cuts)):
            for tick, (block, columns) in itertools.product(range(start, end), enumerate(blocks)):
                command = told[[tick, max(0, tick - 1)]][:, columns].T.ravel()
                motion = moved[tick, columns]
                both[0][part, block] += np.outer(command, command)
                both[1][part, block] += np.outer(command, motion)
                both[2][part, block] += motion**2
        found.append(both)
    return found


@pytest.mark.parametrize("ticks", [1, 2, 4, 7, 60])
@pytest.mark.parametrize("channels", [CELL, ARMS], ids=["steps", "places"])
def test_parts_are_sums_over_stretches_of_the_episode(channels: Channels, ticks: int) -> None:
    values = driven(channels, 1, noise=0.3)[:ticks]
    flat = np.stack([summed(values, channels)["parts"]] * 2)
    expected = plain_parts(values, channels)
    assert flat.shape[1] == sum(array.size for arrays in expected for array in arrays)
    for found, plain in zip(coupling.split_parts(flat, channels), expected, strict=True):
        for one, other in zip(found, plain, strict=True):
            assert one.shape == (2, *other.shape)
            assert one[1] == pytest.approx(other, abs=1e-12)


def test_whole_sums_are_those_of_commanded_steps_with_the_one_before_and_of_all_that_is_measured() -> None:
    values = driven(CELL, 1, noise=0.3)
    found = summed(values, CELL)
    action, moved = values[:-1, CELL.action][:, :3], np.diff(values, axis=0)[:, CELL.measured]
    taps = np.concatenate([action, action[[0, *range(len(action) - 1)]]], axis=1)
    assert found["told_told"].reshape(6, 6) == pytest.approx(taps.T @ taps)
    assert found["told_moved"].reshape(6, -1) == pytest.approx(taps.T @ moved)
    assert found["moved_moved"] == pytest.approx((moved**2).sum(axis=0))


def test_commanded_places_and_what_is_not_paired_have_no_whole_sums() -> None:
    for which, channels in ((driven(ARMS, 1), ARMS), (driven(CELL, 1)[:, :-3], ALONE)):
        found = summed(which, channels)
        assert (found["told_told"].shape, found["told_moved"].shape) == ((0,), (0,))
        assert found["moved_moved"].shape == (channels.measured.stop,)
    assert found["parts"].shape == (0,)
    assert coupling.split_parts(np.zeros((3, 0)), ALONE) == []


def test_sums_of_a_single_tick_are_as_many_zeros_as_others_have_numbers() -> None:
    for channels in (CELL, ARMS):
        one, more = (summed(driven(channels, 1)[:ticks], channels) for ticks in (1, 9))
        assert {name: value.shape for name, value in one.items()} == {name: value.shape for name, value in more.items()}
        assert not any(value.any() for value in one.values())


@pytest.mark.parametrize(
    ("value", "span", "level"), [(0.0, (0.0, 1.0), -1), (1.0, (1.0, 0.0), -1), (5.0, (0.0, 1.0), 1), (0.5, (1, 0), 0)]
)
def test_closing_runs_from_open_to_closed(value: float, span: tuple[float, float], level: float) -> None:
    assert coupling.closing(np.array([value]), span).tolist() == [level]


def test_grippers_that_obey_go_together() -> None:
    values = np.zeros((40, len(CELL)))
    (gripper,) = CELL.grippers
    closed = np.repeat([0.0, 1.0], 20)
    values[:, gripper.action] = gripper.action_range[0] + closed * np.subtract(*gripper.action_range[::-1])
    values[:, gripper.state] = gripper.state_range[0] + closed * np.subtract(*gripper.state_range[::-1])
    found = coupling.gripper_levels(values, CELL)
    assert (found["gripper_told"].tolist(), found["gripper_felt"].tolist()) == ([0.0], [0.0])
    assert found["gripper_together"].tolist() == [1.0]
    values[:, gripper.state] = values[::-1, gripper.state]
    assert coupling.gripper_levels(values, CELL)["gripper_together"].tolist() == [-1.0]
