"""Every fault is found by its own check; good episodes are left alone, and a fault leaves the others alone."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from components.checks.codes import CODES
from components.checks.own.relate import relate
from components.core.params import Checks

# Judged over several episodes at once: the tests at the end of this file, and test_verdicts.py.
BETWEEN = {"duplicate_episode", "split_leak", "calibration_drift", "unmeasured"}
# Fault -> codes that may come along, because what was done is that, too.
COMPANIONS = {
    "too_short": {"outlier_episode"},
    "idle": {"outlier_episode"},
    # A dark stretch darkens the mean.
    "black_frames": {"exposure"},
    # Brightness is one of the features of an outlier.
    "exposure": {"outlier_episode"},
    # The robot went where no command sent it.
    "state_jump": {"action_state_disagree"},
    # A joint beyond its limit leapt there, and out of what the commands explain.
    "joint_limit": {"state_jump", "wrong_dim_order", "action_state_disagree"},
    # A thousandfold, a hand that rests seems to move.
    "unit_mismatch": {"state_jump", "joint_limit", "action_state_disagree", "outlier_episode", "duplicate_frames"},
    "action_state_disagree": {"wrong_dim_order"},
    "wrong_dim_order": {"action_state_disagree"},
    "stream_misaligned": {"action_state_disagree", "wrong_dim_order"},
    "outlier_episode": {"duplicate_frames", "stream_misaligned"},
}


def judged(good: pa.Table, episodes: ModuleType, params: Checks, *samples: Any) -> list[set[str]]:
    table = relate(pa.concat_tables([good, episodes.measured(samples)]), episodes.CELL, params, fps=episodes.FPS)
    found: list[set[str]] = episodes.codes_of(table, params)
    return found


def test_every_code_has_a_fault_that_deserves_it(episodes: ModuleType) -> None:
    assert set(episodes.FAULTS) | BETWEEN == set(CODES)
    assert not set(episodes.FAULTS) & BETWEEN
    assert set(COMPANIONS) <= set(episodes.FAULTS)


@pytest.mark.parametrize("code", [code for code in CODES if code not in BETWEEN])
def test_a_fault_is_found_by_its_own_check(
    code: str, episodes: ModuleType, params: Checks, good_measures: pa.Table
) -> None:
    for number, spoil in enumerate(episodes.FAULTS[code]):
        *others, found = judged(good_measures, episodes, params, spoil(episodes.good(101)))
        assert code in found, number
        assert found - {code} <= COMPANIONS.get(code, set()), number
        assert not any(others), number


@pytest.mark.parametrize("code", sorted({"nan", "missing_stream", "exposure", "unit_mismatch", "gripper_inverted"}))
def test_the_same_fault_in_a_tenth_of_the_episodes_is_found_in_each(
    code: str, episodes: ModuleType, params: Checks, good_measures: pa.Table
) -> None:
    spoilt = [episodes.FAULTS[code][0](episodes.good(seed)) for seed in range(101, 105)]
    found = judged(good_measures, episodes, params, *spoilt)
    assert all(code in codes for codes in found[-4:])
    assert not any(found[:-4])


@pytest.mark.parametrize(
    ("key", "one", "other"),
    [
        ("action", 0, 1),
        ("action", 1, 2),
        ("observation.state", 0, 1),
        ("observation.state", 1, 2),
        ("observation.joints", 1, 2),
        ("observation.joints", 3, 5),
    ],
)
def test_an_exchange_in_the_middle_is_found_one_way_or_another(
    key: str, one: int, other: int, episodes: ModuleType, params: Checks, good_measures: pa.Table
) -> None:
    sample = episodes.good(101)
    values = sample.frames[key].copy()
    values[20:, [one, other]] = values[20:, [other, one]]
    found = judged(good_measures, episodes, params, sample.with_frames(key, values))[-1]
    assert found & {"wrong_dim_order", "state_jump", "action_state_disagree"}


def test_good_episodes_are_left_alone(good_table: pd.DataFrame, episodes: ModuleType, params: Checks) -> None:
    assert episodes.codes_of(good_table, params) == [set()] * len(good_table)


# Column -> share of its limit that good episodes may use up.
HEADROOM = {
    "state_jump": 0.6,
    "unit_ratio": 0.5,
    "stuck_excess": 0.25,
    "gripper_inverted": 0.25,
    "action_contradicted": 0.25,
    "action_unexplained": 0.25,
    # The opening of a gripper, a share, may be by chance about as large as the height of a hand in metres.
    "wrong_order": 0.9,
    "exposure_stops": 0.25,
    "camera_swap": 0.25,
    "calibration_drift": 0.5,
    "outlier_score": 0.5,
    "dropped_share": 0.25,
    "repeated_share": 0.25,
    "frozen_share": 0.25,
}


@pytest.mark.parametrize("column", sorted(HEADROOM))
def test_good_episodes_stay_clear_of_the_limits(
    column: str, good_table: pd.DataFrame, params: Checks, episodes: ModuleType
) -> None:
    """So that a fault that is found is found for its own sake."""
    unseen = episodes.table_of([episodes.good(seed) for seed in range(200, 230)], params)
    limit = getattr(params, f"{column}_max")
    assert max(good_table[column].max(), unseen[column].max()) <= HEADROOM[column] * limit


def copy_of(sample: Any, **row: Any) -> Any:
    return sample.with_row(episode_id="f" * 64, recorded_at="2026-03-01T08:00:00Z", **row)


def test_a_copy_is_the_later_one(episodes: ModuleType, params: Checks, good_measures: pa.Table) -> None:
    copy = copy_of(episodes.good(6), source_uri="usb-stick/006.mcap")
    *others, found = judged(good_measures, episodes, params, copy)
    assert found == {"duplicate_episode"}
    assert not any(others)


def test_a_copy_on_the_other_side_leaks(episodes: ModuleType, params: Checks, good_measures: pa.Table) -> None:
    sample = episodes.good(6)
    brighter = {camera: pictures + np.uint8(3) for camera, pictures in sample.images.items()}
    copy = replace(copy_of(sample, split="val", pixel_sha256="other"), images=brighter)
    *others, found = judged(good_measures, episodes, params, copy)
    assert found == {"duplicate_episode", "split_leak"}
    assert not any(others)


def test_a_robot_that_was_knocked_drifts_until_it_is_calibrated(
    episodes: ModuleType, params: Checks, good_measures: pa.Table
) -> None:
    def later(seed: int, **row: str) -> Any:
        sample = episodes.good(seed)
        state = sample.frames["observation.state"].copy()
        state[:, 0] += 0.05
        stamped = {"recorded_at": f"2026-02-01T08:00:{seed % 60:02d}Z", "robot_id": "cell-1", **row}
        return sample.with_frames("observation.state", state).with_row(**stamped)

    knocked = judged(good_measures, episodes, params, *[later(seed) for seed in range(50, 56)])
    assert all("calibration_drift" in codes for codes in knocked[-6:])
    assert not any(knocked[:-6])
    again = [later(seed, calibration_digest="d" * 64) for seed in range(50, 56)]
    assert not any("calibration_drift" in codes for codes in judged(good_measures, episodes, params, *again))
