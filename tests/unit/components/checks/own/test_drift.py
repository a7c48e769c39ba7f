"""A robot that begins its episodes elsewhere than it used to."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.checks.own.drift import WINDOW, drift
from components.checks.own.rows import FEWEST, Rows
from components.core.params import Checks

COUNT = 30
Made = Callable[..., Rows]


def rows_of(body: Any, channels: Any, count: int = COUNT, seed: int = 0, **columns: list[Any]) -> Rows:
    """Episodes of one robot and task; starts scatter by a tenth of a millimetre and of a milliradian."""
    width = len(channels)
    start = np.random.default_rng(seed).normal(0, 1e-4, (count, width))
    start[:, 0] += columns.pop("shift", np.zeros(count))
    table: dict[str, Any] = {
        "episode_id": [f"{seed}-{number:03d}" for number in range(count)],
        "recorded_at": [f"2026-01-05T08:00:{number:02d}Z" for number in range(count)],
        "robot_id": ["cell-1"] * count,
        "calibration_digest": ["c"] * count,
        "task": ["drawer"] * count,
        "start": start.tolist(),
        "low": np.full((count, width), -0.05).tolist(),
        "high": np.full((count, width), 0.05).tolist(),
    }
    return Rows(pa.table(table | columns), body)


@pytest.fixture
def made(episodes: ModuleType) -> Made:
    return lambda **columns: rows_of(episodes.CELL, episodes.CHANNELS, **columns)


def shifted(at: range | list[int], by: float = 0.01, count: int = COUNT) -> np.ndarray:
    return by * np.isin(np.arange(count), list(at))


def over(rows: Rows, params: Checks) -> list[int]:
    found = drift(rows)["calibration_drift"]
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    return np.flatnonzero(found > params.calibration_drift_max).tolist()


def test_a_robot_that_stays_does_not_drift(made: Made, params: Checks) -> None:
    assert drift(made())["calibration_drift"].max() < params.calibration_drift_max / 2


def test_a_shift_is_flagged_from_its_day_on(made: Made, params: Checks) -> None:
    assert over(made(shift=shifted(range(20, COUNT))), params) == list(range(20, COUNT))


def test_order_in_the_dataset_does_not_matter(made: Made, params: Checks) -> None:
    rows, order = made(shift=shifted(range(20, COUNT))), np.random.default_rng(1).permutation(COUNT)
    shuffled = Rows(rows.table.take(pa.array(order)), rows.body)
    assert sorted(order[over(shuffled, params)].tolist()) == list(range(20, COUNT))


@pytest.mark.parametrize("at", [[20], [15, 22], [COUNT - 1], [COUNT - 2, COUNT - 1]])
def test_one_odd_start_is_no_drift(made: Made, params: Checks, at: list[int]) -> None:
    assert over(made(shift=shifted(at, by=0.1)), params) == []


def test_starts_that_always_scatter_are_no_drift(made: Made, params: Checks) -> None:
    wide = np.random.default_rng(3).normal(0, 0.02, COUNT)
    assert over(made(shift=wide), params) == []


def test_a_new_calibration_begins_a_new_past(made: Made, params: Checks) -> None:
    digests = ["c"] * 20 + ["d"] * (COUNT - 20)
    assert over(made(shift=shifted(range(20, COUNT)), calibration_digest=digests), params) == []


def test_another_robot_and_another_task_have_their_own_past(made: Made, params: Checks) -> None:
    half = ["a", "b"] * (COUNT // 2)
    every_other = shifted(list(range(1, COUNT, 2)), by=0.05)
    assert over(made(shift=every_other, robot_id=half), params) == []
    assert over(made(shift=every_other, task=half), params) == []


def test_a_shift_shows_across_the_tasks_of_a_robot(made: Made, params: Checks) -> None:
    """A window of one task alone would be twice as long."""
    half = ["a", "b"] * (COUNT // 2)
    last = range(COUNT - WINDOW, COUNT)
    assert over(made(shift=shifted(last), task=half), params) == list(last)


@pytest.mark.parametrize(("before", "known"), [(3, True), (2, False)])
def test_in_a_new_task_a_shift_is_known_from_the_other_tasks_of_the_robot(
    made: Made, params: Checks, before: int, known: bool
) -> None:
    """Where it begins the task, it begins apart from a robot that has long done it."""
    names = ["a", "b", "c"][:before]
    own = [(names * 10)[number] for number in range(18)] + ["new"] * 6
    twin = [*(names * 10)[:18], *["new"] * 12]
    columns: dict[str, list[Any]] = {
        "task": own + twin,
        "robot_id": ["cell-1"] * len(own) + ["cell-2"] * len(twin),
        "recorded_at": [f"2026-01-05T08:00:{number:02d}Z" for number in (*range(len(own)), *range(len(twin)))],
    }
    rows = made(count=len(own) + len(twin), shift=shifted(range(18, 24), count=54), **columns)
    assert over(rows, params) == (list(range(18, 24)) if known else [])


@pytest.mark.parametrize("count", [FEWEST - 1, FEWEST, WINDOW + 4])
def test_without_a_past_there_is_no_drift(made: Made, params: Checks, count: int) -> None:
    assert over(made(count=count, shift=shifted(range(5, count), 1.0, count)), params) == []


def test_a_drifted_robot_is_found_among_good_ones(
    episodes: ModuleType, params: Checks, good_measures: pa.Table
) -> None:
    def later(seed: int, by: float) -> Any:
        sample = episodes.good(seed)
        state = sample.frames["observation.state"].copy()
        state[:, 0] += by
        row = {"recorded_at": f"2026-02-01T08:{seed}:00Z", "robot_id": "cell-1"}
        return sample.with_frames("observation.state", state).with_row(**row)

    for by, wanted in ((0.0, []), (0.03, list(range(40, 48)))):
        late = episodes.measured([later(seed, by) for seed in range(10, 18)])
        rows = Rows(pa.concat_tables([good_measures, late]), episodes.CELL)
        assert over(rows, params) == wanted
