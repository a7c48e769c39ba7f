"""Measures on arrays, by hand and by property."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from components.checks import measure

ANY_FLOATS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8),
    elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
)


def test_bad_numbers_counts_nan_and_infinity_of_floats_only() -> None:
    values = np.array([[1.0, np.nan], [np.inf, -np.inf]])
    assert measure.bad_numbers(values, np.array([1, 2]), np.array([np.nan], dtype=np.float32)) == 4


def test_steps_and_reach_by_hand() -> None:
    path = np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 4.0], [0.0, 4.0]])
    assert measure.steps(path).tolist() == [5.0, 0.0, 3.0]
    assert measure.reach(path) == 5.0


def test_a_nan_hides_no_jump_elsewhere() -> None:
    path = np.array([[0.0], [np.nan], [0.0], [2.0]])
    assert measure.steps(path).tolist() == [0.0, 0.0, 2.0]
    assert measure.reach(path) == 2.0


@given(values=ANY_FLOATS)
def test_every_measure_of_any_numbers_is_finite(values: np.ndarray) -> None:
    assert np.isfinite(measure.steps(values)).all()
    assert np.isfinite(measure.reach(values))
    assert 0.0 <= measure.share_outside(values, [-1.0] * values.shape[1], [1.0] * values.shape[1]) <= 1.0
    assert 0 <= measure.constant_columns(values) <= values.shape[1]


@pytest.mark.parametrize(
    ("value", "outside"), [(1.0, 0.0), (1.000005, 0.0), (1.01, 1.0), (-1.01, 1.0), (np.inf, 1.0), (-np.inf, 1.0)]
)
def test_limits_forgive_rounding_and_nothing_more(value: float, outside: float) -> None:
    assert measure.share_outside(np.array([[0.0, value]]), (-1.0, -1.0), (1.0, 1.0)) == outside


def test_share_outside_counts_rows_once() -> None:
    values = np.array([[2.0, 2.0], [0.0, 0.0], [0.0, -2.0], [0.0, 0.0]])
    assert measure.share_outside(values, (-1.0, -1.0), (1.0, 1.0)) == 0.5


def test_constant_columns() -> None:
    assert measure.constant_columns(np.array([[1.0, 1.0, np.nan], [2.0, 1.0, 3.0], [4.0, 1.0, 3.0]])) == 2
    assert measure.constant_columns(np.array([[1.0, 1.0]])) == 0


@given(images=hnp.arrays(np.uint8, (3, 17, 25, 3)))
def test_brightness_and_differences_equal_the_plain_formula(images: np.ndarray) -> None:
    wide = images.astype(np.float64)
    assert measure.brightness(images) == pytest.approx(wide.mean(axis=(1, 2, 3)))
    blocks = [wide[:, y : y + 8, x : x + 8].mean(axis=(1, 2, 3)) for y in (0, 8) for x in (0, 8, 16)]
    assert measure.differences(images) == pytest.approx(np.abs(np.diff(np.stack(blocks), axis=1)).max(axis=0))


def test_noise_is_no_motion_and_a_small_hand_is() -> None:
    rng = np.random.default_rng(0)
    still = np.full((40, 96, 96, 3), 120.0)
    noisy = np.clip(still + rng.normal(0, 1.5, still.shape), 0, 255).astype(np.uint8)
    assert measure.differences(noisy).max() < measure.SAME_PICTURE
    noisy[20:, 40:45, 40:45] = 30
    changes = measure.differences(noisy)
    assert changes.argmax() == 19
    assert changes.max() > 20 * measure.SAME_PICTURE


def test_pictures_of_an_empty_or_one_frame_episode() -> None:
    assert measure.brightness(np.zeros((0, 2, 2, 3), np.uint8)).shape == (0,)
    assert measure.differences(np.zeros((1, 2, 2, 3), np.uint8)).shape == (0,)


def test_a_picture_that_stays_counts_only_while_the_hand_moves_in_the_light() -> None:
    changes = np.array([0.0, 0.0, 5.0, 0.05])
    moved = np.array([0.01, 0.0, 0.01, 0.01])
    lit = np.ones(5, dtype=bool)
    assert measure.frozen_share(changes, moved, lit) == pytest.approx(2 / 3)
    assert measure.frozen_share(changes, np.zeros(4), lit) == 0.0
    assert measure.frozen_share(changes, moved, np.array([0, 0, 1, 1, 1], bool)) == pytest.approx(1 / 3)


def test_motion_hash_tells_values_shapes_and_order_apart() -> None:
    one, other = np.arange(6, dtype=np.float32).reshape(3, 2), np.ones((3, 2), np.float32)
    hashes = [measure.motion_sha256(*a) for a in ((one, other), (other, one), (one.reshape(2, 3), other), (one,))]
    assert len(set(hashes)) == 4
    assert measure.motion_sha256(one.astype(np.float64), other) == hashes[0]
