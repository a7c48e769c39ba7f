"""One row an episode, on plain arrays."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from components.checks.own.rows import FEWEST
from components.checks.reduce import WORST_CAMERA
from components.core.params import Checks

STATE, ACTION, TIME = "observation.state", "action", "observation.time"
FLOATS = hnp.arrays(np.float32, (20, 4), elements=st.floats(width=32))


def same(one: Any, other: Any) -> bool:
    return bool(np.array_equal(np.asarray(one), np.asarray(other), equal_nan=isinstance(one, float)))


def test_cameras_are_told_apart_and_the_worst_one_is_judged(episodes: ModuleType) -> None:
    sample = episodes.FAULTS["frozen_camera"][1](episodes.good(1))
    row = sample.reduce()
    assert row["frozen_share_wrist"] == row["frozen_share"] > 0.4
    assert row["frozen_share_fixed"] == 0.0
    assert row["brightness_fixed"] == pytest.approx(sample.images["fixed"].mean())
    assert len(row["thumbs"]) == 2 * 4 * 4


def test_without_pictures_no_camera_is_bad(episodes: ModuleType) -> None:
    row = replace(episodes.good(1), images={}).reduce()
    assert [row[name] for name in WORST_CAMERA] == [0.0] * len(WORST_CAMERA)
    assert row["thumbs"].shape == (0,)


def test_the_level_of_black_is_a_setting(episodes: ModuleType) -> None:
    sample = episodes.FAULTS["black_frames"][0](episodes.good(1))
    assert sample.reduce(black_level=8.0)["black_share"] == pytest.approx(8 / 40)
    assert sample.reduce(black_level=1.0)["black_share"] == 0.0


def test_distances_are_those_of_the_hand_not_of_the_gripper(episodes: ModuleType) -> None:
    sample = episodes.good(1)
    state = sample.frames[STATE].copy()
    state[::2, 3], state[1::2, 3] = 0.0, 1.0
    one, other = sample.reduce(), sample.with_frames(STATE, state).reduce()
    for name in ("motion", "path", "path_efficiency", "idle_share", "ldlj"):
        assert one[name] == other[name]


def test_ticks_by_hand(episodes: ModuleType) -> None:
    sample = episodes.good(1)
    time = np.arange(40) / 20
    time[7], time[20] = time[5], time[19]
    row = sample.with_frames(TIME, time).reduce()
    assert (row["ticks_backwards"], row["ticks_stopped"]) == (1.0, 1.0)
    assert row["tick_rate_hz"] == pytest.approx(20.0)


@pytest.mark.parametrize("time", [np.zeros(40), -np.arange(40.0), np.full(40, np.nan)])
def test_no_rate_where_no_time_passes(episodes: ModuleType, time: np.ndarray) -> None:
    assert episodes.good(1).with_frames(TIME, time).reduce()["tick_rate_hz"] == 0.0


def test_nan_counts_every_number_and_hides_nothing_else(episodes: ModuleType) -> None:
    sample = episodes.FAULTS["state_jump"][0](episodes.good(1))
    values, time = sample.frames["observation.joints"].copy(), sample.frames[TIME].copy()
    values[3:6, 2], time[9] = np.nan, np.inf
    row = sample.with_frames("observation.joints", values).with_frames(TIME, time).reduce()
    assert row["nan_count"] == 4
    assert row["step_max"][0] == sample.reduce()["step_max"][0] > 0.15


def test_a_command_that_is_not_finite_is_out_of_range_too(episodes: ModuleType) -> None:
    sample = episodes.good(1)
    action = sample.frames[ACTION].copy()
    action[4, 0] = np.inf
    assert sample.with_frames(ACTION, action).reduce()["action_out_of_range_share"] == 1 / 40


def test_scalar_columns_of_the_dataset_do_no_harm(episodes: ModuleType) -> None:
    sample = episodes.good(1)
    extra = {"frame_index": np.arange(40), "timestamp": np.arange(40, dtype=np.float32)}
    one, other = sample.reduce(), replace(sample, frames={**sample.frames, **extra}).reduce()
    assert one.keys() == other.keys()
    assert all(same(one[name], other[name]) for name in one)


@pytest.mark.parametrize("length", [1, 2, 3, 5, 12])
def test_a_few_ticks_are_an_episode_too(episodes: ModuleType, params: Checks, length: int) -> None:
    whole = episodes.good(50)
    frames = {key: values[:length] for key, values in whole.frames.items()}
    images = {camera: pictures[:length] for camera, pictures in whole.images.items()}
    short = replace(whole, frames=frames, images=images)
    assert short.reduce()["length"] == length
    table = episodes.table_of([*map(episodes.good, range(FEWEST)), short], params)
    assert ("too_short" in episodes.codes_of(table, params)[-1]) == (length < params.min_frames)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    state=FLOATS,
    action=FLOATS,
    joints=hnp.arrays(np.float32, (20, 7), elements=st.floats(width=32)),
    time=hnp.arrays(np.float64, 20, elements=st.floats(-1e6, 1e6)),
    images=hnp.arrays(np.uint8, (20, 2, 2, 3)),
)
def test_whatever_was_recorded_spoils_no_number_of_any_row(
    episodes: ModuleType,
    params: Checks,
    state: np.ndarray,
    action: np.ndarray,
    joints: np.ndarray,
    time: np.ndarray,
    images: np.ndarray,
) -> None:
    """A NaN in the table would be passed over by the judge, and one wild row must not spoil what is usual."""
    frames = {STATE: state, ACTION: action, "observation.joints": joints, TIME: time}
    wild = replace(episodes.good(1, length=22), frames=frames, images=dict.fromkeys(("fixed", "wrist"), images))
    assert wild.reduce()["nan_count"] == sum((~np.isfinite(a)).sum() for a in (state, action, joints))
    small = [_pictured(episodes.good(seed, length=20), images) for seed in range(2, 2 + FEWEST)]
    table = episodes.table_of([*small, wild], params)
    may_be_missing = {"path_efficiency", "ldlj"}
    numbers = table.drop(columns=may_be_missing).select_dtypes("number").to_numpy()
    assert np.isfinite(numbers).all()


def _pictured(sample: Any, images: np.ndarray) -> Any:
    return replace(sample, images=dict.fromkeys(("fixed", "wrist"), images))
