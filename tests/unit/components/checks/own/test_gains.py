"""Gains learned from a dataset, and motion that they leave unexplained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.checks.measure.coupling import split_parts
from components.checks.own.gains import Sums, fit, gain_groups, per_tick_weight, unexplained
from components.checks.own.rows import Rows
from components.core.params import Checks

STATE, ACTION = "observation.state", "action"
Change = Callable[[Any], Any]
Found = Callable[..., tuple[np.ndarray, np.ndarray]]


@pytest.fixture(scope="module")
def found(episodes: ModuleType, good_measures: pa.Table) -> Found:
    """`found(change, ...)`: both numbers of the good episodes and then of one more for each change."""

    def of(*changes: Change) -> tuple[np.ndarray, np.ndarray]:
        spoilt = [change(episodes.good(101 + number)) for number, change in enumerate(changes)]
        table = pa.concat_tables([good_measures, episodes.measured(spoilt)]) if spoilt else good_measures
        return unexplained(Rows(table, episodes.CELL))

    return of


def sums_of(told: np.ndarray, moved: np.ndarray) -> Sums:
    """Of commands [N, T, k] and motion [N, T, m], as one block."""
    return Sums(
        np.einsum("ntk,ntl->nkl", told, told)[:, None],
        np.einsum("ntk,ntm->nkm", told, moved)[:, None],
        np.einsum("ntm->nm", moved**2)[:, None],
    )


def episodes_of(gains: np.ndarray, count: int = 30, noise: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random commands [N, 50, k] and what they move by `gains` [k, m]."""
    rng = np.random.default_rng(seed)
    told = rng.normal(size=(count, 50, len(gains)))
    moved = told @ gains
    return told, moved + noise * rng.normal(size=moved.shape)


GAINS = np.array([[0.5, 0.0], [0.1, -2.0], [0.0, 0.3]])
EQUAL = np.ones((1, 2))


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_what_is_left_is_the_sum_over_the_ticks(seed: int) -> None:
    told, moved = episodes_of(GAINS, count=4, noise=0.5, seed=seed)
    gains = np.random.default_rng(seed).normal(size=(4, 1, 3, 2))
    left, made = sums_of(told, moved).left(gains)
    assert left[:, 0] == pytest.approx(((moved - told @ gains[:, 0]) ** 2).sum(axis=1))
    assert made[:, 0] == pytest.approx(((told @ gains[:, 0]) ** 2).sum(axis=1))


def test_parts_are_explained_with_the_gains_of_their_episode() -> None:
    told, moved = episodes_of(GAINS, count=4, noise=0.5)
    halves = [sums_of(told[:, half], moved[:, half]) for half in (slice(0, 20), slice(20, None))]
    parts = Sums(*(np.stack([getattr(half, name) for half in halves], axis=1) for name in ("told", "both", "moved")))
    gains = np.random.default_rng(0).normal(size=(4, 1, 3, 2))
    for found, *expected in zip(parts.left(gains), *(half.left(gains) for half in halves), strict=True):
        assert found == pytest.approx(np.stack(expected, axis=1))


def test_gains_are_those_that_made_the_motion() -> None:
    found = fit(sums_of(*episodes_of(GAINS, noise=0.01)), np.zeros(30, np.int64), EQUAL)
    assert found.shape == (30, 1, 3, 2)
    assert found[0, 0] == pytest.approx(GAINS, abs=0.02)
    assert (found == found[0]).all()


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e12])
def test_a_fifth_of_bad_episodes_moves_no_gain(scale: float) -> None:
    told, moved = episodes_of(GAINS, noise=0.01)
    moved[:6] = scale * np.random.default_rng(3).normal(size=moved[:6].shape)
    told[3:6] *= scale
    found = fit(sums_of(told, moved), np.zeros(30, np.int64), EQUAL)
    assert found[0, 0] == pytest.approx(GAINS, abs=0.03)


def test_every_group_has_its_own_gains_and_small_ones_those_of_all() -> None:
    told, moved = (
        np.concatenate(pair) for pair in zip(episodes_of(GAINS), episodes_of(-GAINS, 90, seed=1), strict=True)
    )
    groups = np.repeat([0, 1, -1], [30, 80, 10])
    found = fit(sums_of(told, moved), groups, EQUAL)
    assert found[0, 0] == pytest.approx(GAINS, abs=0.02)
    assert found[30, 0] == pytest.approx(-GAINS, abs=0.02)
    # Most of all episodes.
    assert found[-1, 0] == pytest.approx(-GAINS, abs=0.02)


def test_without_commands_or_motion_gains_are_none() -> None:
    still = Sums(np.zeros((9, 1, 3, 3)), np.zeros((9, 1, 3, 2)), np.zeros((9, 1, 2)))
    assert not fit(still, np.zeros(9, np.int64), per_tick_weight(still.moved, np.ones(9))).any()


def test_a_task_needs_twenty_episodes_for_gains_of_its_own(good_measures: pa.Table, episodes: ModuleType) -> None:
    assert set(gain_groups(Rows(good_measures, episodes.CELL)).tolist()) == {0, 1}
    assert gain_groups(Rows(good_measures.slice(1), episodes.CELL)).tolist() == [0, -1] * 19 + [0]


def test_the_weight_is_one_over_the_usual_and_nothing_where_nothing_moves() -> None:
    moved = np.array([[10.0, 0.0], [40.0, 0.0], [1e30, 7.0]])
    assert per_tick_weight(moved, np.array([5.0, 10.0, 10.0])).tolist() == [0.25, 0.0]


def test_the_gains_of_a_cell_are_those_of_its_commands(episodes: ModuleType, good_measures: pa.Table) -> None:
    rows = Rows(good_measures, episodes.CELL)
    (parts,) = split_parts(rows.vector("parts"), rows.channels)
    total = Sums(*(array.sum(axis=1) for array in parts))
    gains = fit(total, gain_groups(rows), per_tick_weight(total.moved, rows.number("length") - 1))
    # The hand follows a tick late, and so does what the one before says of a smooth command.
    arm = gains[0, 0].reshape(3, 2, 3).sum(axis=1)
    assert np.diag(arm) == pytest.approx(np.full(3, episodes.REACH_M), rel=0.15)
    assert np.abs(arm - np.diag(np.diag(arm))).max() < 0.1 * episodes.REACH_M


def of_another(episodes: ModuleType, span: slice = slice(None)) -> Change:
    def change(sample: Any) -> Any:
        values = sample.frames[ACTION].copy()
        values[span, :3] = episodes.good(977).frames[ACTION][span, :3]
        return sample.with_frames(ACTION, values)

    return change


def glitch(value: float) -> Change:
    """One command of one tick beyond all reason."""

    def change(sample: Any) -> Any:
        values = sample.frames[ACTION].copy()
        values[5, 0] = value
        return sample.with_frames(ACTION, values)

    return change


@pytest.mark.parametrize("span", [slice(None), slice(0, 14), slice(13, 27), slice(26, None)])
def test_commands_of_another_episode_are_unexplained_wherever_they_are(
    found: Found, episodes: ModuleType, params: Checks, span: slice
) -> None:
    contradicted, beyond = found(of_another(episodes, span))
    # A third of an episode may only be a hint.
    assert contradicted[-1] > (1.2 if span == slice(None) else 0.65) * params.action_contradicted_max
    assert beyond[-1] > 1.3 * params.action_unexplained_max
    assert contradicted[:40].max() < params.action_contradicted_max / 4
    assert beyond[:40].max() < params.action_unexplained_max / 4


def test_commands_without_motion_and_motion_without_commands_are_unexplained(found: Found, params: Checks) -> None:
    def stand(sample: Any) -> Any:
        state = sample.frames[STATE].copy()
        state[20:, :3] = state[20, :3]
        return sample.with_frames(STATE, state)

    def silent(sample: Any) -> Any:
        action = sample.frames[ACTION].copy()
        action[20:, :3] = 0.0
        return sample.with_frames(ACTION, action)

    contradicted, beyond = found(stand, silent)
    # Half an episode of either may only be a hint.
    assert (contradicted[40:] > 0.9 * params.action_contradicted_max).all()
    assert (beyond[40:] > 1.3 * params.action_unexplained_max).all()


def test_half_of_what_is_unexplained_elsewhere_is_forgiven_and_not_contradicted(
    found: Found, episodes: ModuleType
) -> None:
    contradicted, beyond = found(of_another(episodes), of_another(episodes, slice(26, None)))
    assert (beyond <= contradicted).all()
    whole, third = (beyond[40:] / contradicted[40:]).tolist()
    assert 0.5 <= whole < 0.85 < third <= 1.0


def test_a_robot_that_waits_at_the_end_says_nothing(found: Found, params: Checks) -> None:
    def wait(sample: Any) -> Any:
        action, state = sample.frames[ACTION].copy(), sample.frames[STATE].copy()
        action[20:, :3] = 0.0
        state[22:, :3] = state[22, :3] + np.random.default_rng(0).normal(0, 2e-4, (len(state) - 22, 3))
        return sample.with_frames(ACTION, action).with_frames(STATE, state)

    assert found(wait)[0][-1] < params.action_contradicted_max / 2


@pytest.mark.parametrize("value", [1e3, 1e30, 3e38])
def test_one_wild_command_hides_no_fault_elsewhere(
    found: Found, episodes: ModuleType, params: Checks, value: float
) -> None:
    contradicted, beyond = found(glitch(value), of_another(episodes))
    assert beyond[-1] > 1.3 * params.action_unexplained_max
    assert contradicted[-1] > 1.3 * params.action_contradicted_max
    assert beyond[:40].max() < params.action_unexplained_max / 3
    assert np.isfinite([contradicted, beyond]).all()


def test_without_paired_commands_nothing_is_unexplained(episodes: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = episodes.CELL.action.groups
    free = replace(groups[0], name="free", names=("a", "b", "c"), representation="absolute")
    body = replace(episodes.CELL, action=replace(episodes.CELL.action, groups=(free, *groups[1:])))
    monkeypatch.setattr(episodes, "CHANNELS", type(episodes.CHANNELS)(body))
    rows = Rows(episodes.measured([episodes.good(seed) for seed in range(12)]), body)
    assert [values.tolist() for values in unexplained(rows)] == [[0.0] * 12] * 2
