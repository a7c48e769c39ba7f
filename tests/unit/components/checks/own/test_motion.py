"""Leaps, units, stuck sensors and mirrored grippers, against what is usual."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from components.checks.own.motion import motion
from components.checks.own.rows import FEWEST, Rows

NEUTRAL = {"motion_ratio": 1.0, "state_jump": 0.0, "unit_ratio": 1.0, "stuck_excess": 0.0, "gripper_inverted": 0.0}
STATE, JOINTS, ACTION = "observation.state", "observation.joints", "action"
Found = Callable[..., pd.DataFrame]


@pytest.fixture(scope="module")
def found(episodes: ModuleType, good_measures: pa.Table) -> Found:
    """`found(change, ...)`: columns of the good episodes and then of one more for each change."""

    def of(*changes: Callable[[Any], Any]) -> pd.DataFrame:
        spoilt = [change(episodes.good(101 + number)) for number, change in enumerate(changes)]
        table = pa.concat_tables([good_measures, episodes.measured(spoilt)]) if spoilt else good_measures
        return pd.DataFrame(motion(Rows(table, episodes.CELL)))

    return of


def scaled(key: str, columns: Any, factor: float) -> Callable[[Any], Any]:
    def change(sample: Any) -> Any:
        values = sample.frames[key].copy()
        values[:, columns] *= factor
        return sample.with_frames(key, values)

    return change


def test_good_episodes_are_near_the_usual(found: Found) -> None:
    table = found()
    assert table["motion_ratio"].between(0.4, 2.5).all()
    assert table["motion_ratio"].median() == pytest.approx(1.0, abs=0.15)
    assert table["state_jump"].max() < 1.5
    assert table["unit_ratio"].max() < 3
    assert not table[["stuck_excess", "gripper_inverted"]].to_numpy().any()


def test_a_tenth_of_bad_ones_moves_nothing_of_the_good_ones(found: Found) -> None:
    before, after = found(), found(*[scaled(STATE, slice(0, 3), 1000.0)] * 4)
    assert (after[:40] / before[:40]).to_numpy(na_value=1.0) == pytest.approx(1.0, abs=0.25)
    assert (after["unit_ratio"][40:] > 900).all()


@pytest.mark.parametrize("factor", [1000.0, 0.001, 25.4])
def test_another_unit_shows_as_its_factor(found: Found, factor: float) -> None:
    ratio = found(scaled(STATE, slice(0, 3), factor))["unit_ratio"].iloc[-1]
    assert ratio == pytest.approx(max(factor, 1 / factor), rel=0.5)


def test_one_jump_is_no_other_unit(found: Found) -> None:
    def jump(sample: Any) -> Any:
        values = sample.frames[STATE].copy()
        values[20:, 0] += 1.0
        return sample.with_frames(STATE, values)

    last = found(jump).iloc[-1]
    assert last["state_jump"] > 20
    assert last["unit_ratio"] < 3


def moved(key: str, column: int, by: float, *spans: slice) -> Callable[[Any], Any]:
    def change(sample: Any) -> Any:
        values = sample.frames[key].copy()
        for span in spans:
            values[span, column] += by
        return sample.with_frames(key, values)

    return change


@pytest.mark.parametrize(("key", "column", "by"), [(STATE, 1, 0.2), (JOINTS, 5, 0.6)])
def test_a_jump_shows_whether_it_stays_or_returns(found: Found, key: str, column: int, by: float) -> None:
    stays, returns = (moved(key, column, by, span) for span in (slice(20, None), slice(20, 26)))
    jumps = found(stays, returns)["state_jump"]
    assert (jumps[40:] > 2.5).all()
    assert jumps[:40].max() < 1.5


def test_a_jump_is_judged_against_the_task_and_against_the_episode_itself(found: Found) -> None:
    brisk = scaled(STATE, slice(0, 3), 2.0)
    several = moved(STATE, 1, 0.2, slice(8, 12), slice(20, 24))
    once = moved(STATE, 1, 0.2, slice(20, 24))
    *_, twice_as_fast, often, seldom = found(brisk, several, once)["state_jump"]
    assert twice_as_fast == pytest.approx(2**0.5, rel=0.35)
    assert 1.5 * often < seldom


def test_a_gripper_may_jump(found: Found) -> None:
    before = found(lambda sample: sample)["state_jump"].iloc[-1]
    assert found(moved(STATE, 3, 0.8, slice(20, None)))["state_jump"].iloc[-1] == pytest.approx(before)


def test_an_episode_that_hardly_moves_does_not_jump(found: Found) -> None:
    def calm(sample: Any) -> Any:
        values = sample.frames[STATE].copy()
        values[:, :3] = values[0, :3] + 0.01 * (values[:, :3] - values[0, :3])
        values[20:, 0] += 0.01
        joints = np.repeat(sample.frames[JOINTS][:1], len(values), axis=0)
        return sample.with_frames(STATE, values).with_frames(JOINTS, joints)

    assert found(calm)["state_jump"].iloc[-1] < 1.0


def test_degrees_show_even_where_all_episodes_have_them(episodes: ModuleType) -> None:
    for count in (3, 12):
        samples = [scaled(JOINTS, slice(None), 180 / np.pi)(episodes.good(seed)) for seed in range(count)]
        ratio = motion(Rows(episodes.measured(samples), episodes.CELL))["unit_ratio"]
        assert (ratio > 20).all()


def test_a_channel_that_stands_still_longer_than_usual_is_stuck(found: Found) -> None:
    def stick(sample: Any) -> Any:
        values = sample.frames[JOINTS].copy()
        values[20:, 4] = values[20, 4]
        return sample.with_frames(JOINTS, values)

    assert found(stick)["stuck_excess"].iloc[-1] == pytest.approx(19 / 39)


def test_what_stands_still_in_every_episode_is_usual(episodes: ModuleType) -> None:
    def stand(sample: Any) -> Any:
        values = sample.frames[JOINTS].copy()
        values[:, 4] = 0.9
        return sample.with_frames(JOINTS, values)

    samples = [stand(episodes.good(seed)) for seed in range(12)]
    assert not motion(Rows(episodes.measured(samples), episodes.CELL))["stuck_excess"].any()


def test_a_mirrored_gripper_is_found_on_either_side(found: Found) -> None:
    def opposite(sample: Any) -> Any:
        values = sample.frames[STATE].copy()
        values[:, 3] = 1 - values[:, 3]
        return sample.with_frames(STATE, values)

    table = found(scaled(ACTION, 3, -1.0), opposite)
    assert (table["gripper_inverted"][40:] > 0.8).all()
    assert not table["gripper_inverted"][:40].any()


@pytest.mark.parametrize("noise", [0.0, 1e-3])
@pytest.mark.parametrize("key", [STATE, ACTION])
def test_a_gripper_that_is_held_still_is_not_mirrored(found: Found, key: str, noise: float) -> None:
    def hold(sample: Any) -> Any:
        values = sample.frames[key].copy()
        values[:, 3] = values[:, 3].mean() + np.random.default_rng(0).normal(0, noise, len(values))
        return sample.with_frames(key, values)

    assert found(hold)["gripper_inverted"].iloc[-1] == 0.0


def test_few_episodes_are_all_usual(good_measures: pa.Table, episodes: ModuleType) -> None:
    few = Rows(good_measures.slice(0, FEWEST - 1), episodes.CELL)
    assert {name: set(values.tolist()) for name, values in motion(few).items()} == {n: {v} for n, v in NEUTRAL.items()}
