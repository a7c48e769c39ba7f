"""What each channel does by itself, by hand and by property."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from components.checks.measure import channels_of

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8)
ANY_FLOATS = hnp.arrays(np.float64, SHAPES, elements=st.floats(width=32))


def loop_run(flags: np.ndarray) -> int:
    best = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        best = max(best, run)
    return best


@given(flags=hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=12)))
def test_the_longest_run_is_that_of_a_loop(flags: np.ndarray) -> None:
    assert channels_of.longest_run(flags).tolist() == [loop_run(column) for column in flags.T]


@given(values=ANY_FLOATS)
def test_mending_fills_what_is_not_finite_and_keeps_all_else(values: np.ndarray) -> None:
    mended, finite = channels_of.mended(values), np.isfinite(values)
    assert np.isfinite(mended).all()
    assert (mended[finite] == values[finite]).all()
    for before, after in zip(values.T, mended.T, strict=True):
        assert set(after.tolist()) <= set(before[np.isfinite(before)].tolist()) | {0.0}
    assert channels_of.bad_numbers(values) == (~finite).sum()


def test_a_hole_takes_the_last_number_and_a_beginning_the_first_to_come() -> None:
    values = np.array([[np.nan, np.nan], [1.0, np.inf], [np.nan, np.nan], [np.nan, -np.inf], [2.0, np.nan]])
    assert channels_of.mended(values).T.tolist() == [[1, 1, 1, 1, 2], [0, 0, 0, 0, 0]]


def test_vectors_by_hand() -> None:
    values = np.array([[0.0, 1.0], [0.0, 1.0], [0.0, 4.0], [3.0, 1.0], [3.0, 1.0]])
    found = {name: vector.tolist() for name, vector in channels_of.vectors(values, np.diff(values, axis=0)).items()}
    assert found["mean"] == pytest.approx([1.2, 1.6])
    assert found["std"] == pytest.approx([np.std([0, 0, 0, 3, 3]), 1.2])
    assert (found["low"], found["high"], found["start"]) == ([0, 1], [3, 4], [0, 1])
    assert found["stuck_share"] == [0.5, 0.25]


def test_a_single_tick_has_no_steps() -> None:
    found = channels_of.vectors(np.array([[2.0]]), np.zeros((0, 1)))
    assert [found[name].tolist() for name in ("stuck_share", "std")] == [[0.0]] * 2
    assert steps_of(np.zeros((0, 1)), [(0,)]) == ([0.0], [0.0])


def steps_of(steps: np.ndarray, groups: list[tuple[int, ...]]) -> tuple[list[float], list[float]]:
    found = channels_of.group_steps(steps, groups)
    return found["step_max"].tolist(), found["step_third"].tolist()


def test_steps_of_groups_by_hand() -> None:
    steps = np.array([[3.0, 4.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 2.0], [6.0, 8.0, 0.0]])
    assert steps_of(steps, [(0, 1), (1,), (2,)]) == ([10.0, 8.0, 2.0], [1.0, 1.0, 0.0])
    assert steps_of(steps[:2], [(0, 1)]) == ([5.0], [0.0])
    assert steps_of(steps, []) == ([], [])


@given(
    steps=hnp.arrays(np.float64, st.tuples(st.integers(0, 9), st.just(4)), elements=st.floats(-1e6, 1e6)),
    group=st.lists(st.integers(0, 3), min_size=1, unique=True).map(tuple),
)
def test_steps_of_a_group_are_its_sorted_norms(steps: np.ndarray, group: tuple[int, ...]) -> None:
    lengths = sorted((float(np.linalg.norm(row[list(group)])) for row in steps), reverse=True) + [0.0] * 3
    (longest,), (third,) = steps_of(steps, [group])
    assert longest == pytest.approx(lengths[0])
    assert third == pytest.approx(lengths[2] if len(steps) > 2 else 0.0)


@pytest.mark.parametrize(
    ("value", "outside"), [(1.0, 0.0), (1.000005, 0.0), (1.01, 0.5), (-1.01, 0.5), (np.inf, 0.5), (-np.inf, 0.5)]
)
def test_limits_forgive_rounding_and_nothing_more(value: float, outside: float) -> None:
    values = np.array([[0.0, value], [0.0, 0.0]])
    assert channels_of.share_outside(values, np.full(2, -1.0), np.full(2, 1.0)) == outside


def test_rows_outside_count_once_and_a_channel_without_limits_never() -> None:
    values = np.array([[2.0, 2.0, 1e9], [0.0, 0.0, -1e9], [0.0, -2.0, 0.0], [0.0, 0.0, 0.0]])
    low, high = np.array([-1.0, -1.0, -np.inf]), np.array([1.0, 1.0, np.inf])
    assert channels_of.share_outside(values, low, high) == 0.5
    assert channels_of.share_outside(values[:0], low, high) == 0.0


def test_the_hash_tells_values_shapes_and_order_apart_and_not_types() -> None:
    values = np.arange(6.0).reshape(3, 2)
    hashes = [channels_of.motion_sha256(v) for v in (values, values[::-1], values.reshape(2, 3), values + 1e-3)]
    assert len(set(hashes)) == 4
    assert channels_of.motion_sha256(values.astype(np.float32)) == hashes[0]
    assert channels_of.motion_sha256(np.asfortranarray(values)) == hashes[0]
