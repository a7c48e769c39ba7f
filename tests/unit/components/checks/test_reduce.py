"""One row an episode, on plain arrays."""

from __future__ import annotations

import math
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from components.checks.codes import JUDGED
from components.checks.reduce import IDENTITY, Meta, reduce_episode


def test_a_row_holds_every_judged_column_and_who_the_episode_is(episodes: ModuleType) -> None:
    sample = episodes.good(3)
    row = sample.reduce()
    assert set(JUDGED) - set(row) == {"duplicate_of"}
    assert {name: row[name] for name in IDENTITY} == {name: sample.row[name] for name in IDENTITY}
    assert row["length"] == len(sample.frames["action"]) == 28
    assert (row["instruction_words"], row["instruction_chars"]) == (4, 20)


def test_cameras_are_told_apart_and_the_worst_one_is_judged(episodes: ModuleType) -> None:
    sample = episodes.FAULTS["frozen_camera"][1](episodes.good(1))
    row = sample.reduce()
    assert row["frozen_share_wrist"] == row["frozen_share"] > 0.4
    assert row["frozen_share_fixed"] == 0.0
    assert row["repeated_frames_wrist"] == 13
    assert row["brightness_fixed"] == pytest.approx(sample.images["fixed"].mean())


def test_the_level_of_black_is_a_setting(episodes: ModuleType) -> None:
    sample = episodes.FAULTS["black_frames"][0](episodes.good(1))
    assert sample.reduce(black_level=8.0)["black_share"] == pytest.approx(5 / 28)
    assert sample.reduce(black_level=1.0)["black_share"] == 0.0


def test_distances_are_those_of_the_hand_not_of_the_gripper(episodes: ModuleType) -> None:
    sample = episodes.good(1)
    state = sample.frames["observation.state"].copy()
    state[::2, 3], state[1::2, 3] = 0.0, 1.0
    assert sample.with_frames("observation.state", state).reduce()["state_jump_m"] == sample.reduce()["state_jump_m"]


def test_without_metres_every_dimension_counts(episodes: ModuleType) -> None:
    sample = episodes.good(1)
    cell = episodes.CELL.observation
    seen = replace(cell, state=tuple(replace(group, units="rad") for group in cell.state))
    meta = Meta(sample.row, episodes.FPS, replace(episodes.CELL, observation=seen), 8.0)
    row = reduce_episode(sample.frames, sample.images, sample.streams, meta)
    assert row["path_m"] > sample.reduce()["path_m"]
    assert row["action_lag_frames"] == 0


def test_scalar_columns_of_the_dataset_do_no_harm(episodes: ModuleType) -> None:
    sample = episodes.good(1)
    length = len(sample.frames["action"])
    extra = {"frame_index": np.arange(length), "timestamp": np.arange(length, dtype=np.float32)}
    assert replace(sample, frames={**sample.frames, **extra}).reduce() == sample.reduce()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    state=hnp.arrays(np.float32, (20, 4), elements=st.floats(width=32)),
    action=hnp.arrays(np.float32, (20, 4), elements=st.floats(width=32)),
    time=hnp.arrays(np.float64, 20, elements=st.floats(-1e6, 1e6)),
    images=hnp.arrays(np.uint8, (20, 2, 2, 3)),
)
def test_every_number_of_a_row_is_finite_whatever_was_recorded(
    episodes: ModuleType, state: np.ndarray, action: np.ndarray, time: np.ndarray, images: np.ndarray
) -> None:
    """A NaN in the table would be passed over by the judge."""
    sample = episodes.good(1, length=22)
    frames = {"observation.state": state, "action": action, "observation.time": time}
    row = replace(sample, frames=frames, images={"fixed": images}).reduce()
    numbers = [value for value in row.values() if not isinstance(value, str)]
    assert all(math.isfinite(value) for value in numbers)
    assert row["nan_count"] == sum((~np.isfinite(a)).sum() for a in (state, action))
