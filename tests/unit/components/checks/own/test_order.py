"""Dimensions in each other's place, by pose and by motion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.checks.own.order import wrong_order
from components.checks.own.rows import FEWEST, Rows
from components.core.params import Checks

STATE, JOINTS, ACTION = "observation.state", "observation.joints", "action"
Change = Callable[[Any], Any]
Found = Callable[..., np.ndarray]


@pytest.fixture(scope="module")
def found(episodes: ModuleType, good_measures: pa.Table) -> Found:
    """`found(change, ...)`: of the good episodes and then of one more for each change."""

    def of(*changes: Change) -> np.ndarray:
        spoilt = [change(episodes.good(101 + number)) for number, change in enumerate(changes)]
        table = pa.concat_tables([good_measures, episodes.measured(spoilt)]) if spoilt else good_measures
        return wrong_order(Rows(table, episodes.CELL))

    return of


def exchanged(key: str, one: int, other: int) -> Change:
    def change(sample: Any) -> Any:
        values = sample.frames[key].copy()
        values[:, [one, other]] = values[:, [other, one]]
        return sample.with_frames(key, values)

    return change


def at_zero(*keys: str) -> Change:
    """All start at one place: hardly anything but motion tells the dimensions apart."""

    def change(sample: Any) -> Any:
        for key in keys:
            values = sample.frames[key]
            sample = sample.with_frames(key, values - values[:1])
        return sample

    return change


@pytest.mark.parametrize(
    ("key", "one", "other"), [(ACTION, 0, 1), (ACTION, 1, 2), (STATE, 0, 1), (STATE, 0, 2), (JOINTS, 3, 5)]
)
def test_exchanged_dimensions_are_told(found: Found, params: Checks, key: str, one: int, other: int) -> None:
    scores = found(exchanged(key, one, other))
    assert scores[-1] > params.wrong_order_max
    assert scores[:40].max() < params.wrong_order_max


def test_a_gripper_may_be_in_the_place_of_a_commanded_step(found: Found, params: Checks) -> None:
    assert found(exchanged(STATE, 0, 3))[-1] > params.wrong_order_max


@pytest.mark.parametrize("change", [exchanged(STATE, 0, 1), exchanged(ACTION, 0, 1)])
def test_motion_tells_dimensions_that_rest_in_the_same_place(
    episodes: ModuleType, params: Checks, change: Change
) -> None:
    centre = at_zero(STATE, JOINTS, ACTION)
    samples = [centre(episodes.good(seed)) for seed in range(40)]
    scores = wrong_order(Rows(episodes.measured([*samples, change(centre(episodes.good(101)))]), episodes.CELL))
    assert scores[-1] > max(params.wrong_order_max, 1.5 * scores[:40].max())


def test_pose_tells_dimensions_that_do_not_move(episodes: ModuleType, params: Checks) -> None:
    def stand(sample: Any) -> Any:
        joints = sample.frames[JOINTS]
        noise = np.random.default_rng(int(sample.row["episode_index"])).normal(0, 1e-3, joints.shape)
        return sample.with_frames(JOINTS, (np.array([1.0, -1.0, 0.5, 0.2, 0.1, 0.0, 2.0]) + noise).astype(np.float32))

    samples = [stand(episodes.good(seed)) for seed in range(20)]
    wrong = exchanged(JOINTS, 0, 1)(stand(episodes.good(101)))
    scores = wrong_order(Rows(episodes.measured([*samples, wrong]), episodes.CELL))
    assert 0.9 < scores[-1] <= 1.0
    assert scores[:20].max() < params.wrong_order_max


def test_another_place_that_is_no_exchange_is_none(found: Found, params: Checks) -> None:
    def shift(sample: Any) -> Any:
        joints = sample.frames[JOINTS].copy()
        joints[:, 6] += 0.5
        return sample.with_frames(JOINTS, joints)

    assert found(shift)[-1] < params.wrong_order_max / 2


def test_commands_of_another_episode_are_no_exchange_by_themselves(episodes: ModuleType, found: Found) -> None:
    """What fits in no place fits in no other either; by chance some of it does."""
    scores = found(*[lambda s, n=n: s.with_frames(ACTION, episodes.good(n).frames[ACTION]) for n in range(900, 906)])
    assert np.median(scores[40:]) < found(exchanged(ACTION, 0, 1))[-1] / 2


def test_a_tenth_of_bad_episodes_moves_nothing_of_the_good_ones(found: Found) -> None:
    before, after = found(), found(*[exchanged(ACTION, 0, 1)] * 2, *[exchanged(STATE, 0, 2)] * 2)
    assert np.abs(after[:40] - before).max() < 0.15


def test_few_episodes_are_all_in_order(good_measures: pa.Table, episodes: ModuleType) -> None:
    samples = [episodes.good(seed) for seed in range(FEWEST - 1)]
    for count, is_told in ((FEWEST - 2, False), (FEWEST - 1, True)):
        measured = episodes.measured([*samples[:count], exchanged(JOINTS, 3, 5)(episodes.good(101))])
        assert bool(wrong_order(Rows(measured, episodes.CELL))[-1] > 0.1) == is_told


def test_without_paired_commands_only_poses_are_compared(episodes: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = episodes.CELL.action.groups
    free = replace(groups[0], name="free", names=("a", "b", "c"), representation="absolute")
    body = replace(episodes.CELL, action=replace(episodes.CELL.action, groups=(free, *groups[1:])))
    monkeypatch.setattr(episodes, "CHANNELS", type(episodes.CHANNELS)(body))
    samples = [episodes.good(seed) for seed in range(12)]
    samples.append(exchanged(JOINTS, 3, 5)(episodes.good(101)))
    scores = wrong_order(Rows(episodes.measured(samples), body))
    assert scores.argmax() == 12
    assert scores[-1] > 0.3
