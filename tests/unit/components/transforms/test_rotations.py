from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from components.core.errors import ContractError
from components.core.spec import ROTATION_WIDTHS, ROTATIONS
from components.transforms.rotations import (
    ConvertRotation,
    angle_between,
    from_quaternion,
    invert,
    multiply,
    slerp,
    to_quaternion,
)

HALF_TURNS = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [math.sqrt(0.5), math.sqrt(0.5), 0, 0], [0.6, 0, 0.8, 0]]

numbers = st.floats(-1, 1).filter(lambda v: v == 0 or abs(v) > 1e-30)
quaternions = (
    st.tuples(numbers, numbers, numbers, numbers)
    .filter(lambda q: np.linalg.norm(q) > 1e-3)
    .map(lambda q: np.asarray(q) / np.linalg.norm(q))
)
# Straight up and down, or nearly so: roll and yaw turn about one axis there.
locked = st.tuples(
    st.floats(-3, 3), st.sampled_from([-1.0, 1.0]), st.sampled_from([0.0, 1e-12, 1e-9, 1e-8, 1e-6]), st.floats(-3, 3)
).map(lambda v: np.array([v[0], v[1] * (math.pi / 2 - v[2]), v[3]]))


def rotation_in(form: str, q: np.ndarray) -> np.ndarray:
    """What scipy says."""
    found = Rotation.from_quat(q)
    matrix = found.as_matrix()
    return {
        "quaternion_xyzw": lambda: found.as_quat(),
        "quaternion_wxyz": lambda: np.roll(found.as_quat(), 1),
        "euler_xyz": lambda: found.as_euler("xyz"),
        "axis_angle": lambda: found.as_rotvec(),
        "matrix": lambda: matrix.reshape(9),
        "rot6d": lambda: matrix[:, :2].T.reshape(6),
    }[form]()


def same_rotation(left: np.ndarray, right: np.ndarray, within: float = 1e-7) -> None:
    assert float(angle_between(left, right)) < within


@pytest.mark.parametrize("form", ROTATIONS)
@given(q=quaternions)
def test_every_form_means_what_scipy_means(form: str, q: np.ndarray) -> None:
    if form == "euler_xyz" and abs(Rotation.from_quat(q).as_matrix()[2, 0]) > 1 - 1e-9:
        return  # scipy warns and picks one of many
    ours = from_quaternion(q, form)
    assert ours.shape == (ROTATION_WIDTHS[form],)
    same_rotation(to_quaternion(rotation_in(form, q), form), q)
    if form in ("matrix", "rot6d"):
        np.testing.assert_allclose(ours, rotation_in(form, q), atol=1e-12)
    same_rotation(to_quaternion(ours, form), q)


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(ROTATIONS, 2)))
@given(q=quaternions)
def test_conversions_are_inverses(one: str, other: str, q: np.ndarray) -> None:
    convert, values = ConvertRotation(one, other), from_quaternion(q, one)
    back = convert.inverse(convert.apply(values))
    same_rotation(to_quaternion(back, one), q)
    # Numbers that name one rotation only come back as they were.
    if one in ("matrix", "rot6d"):
        np.testing.assert_allclose(back, values, atol=1e-7)


@pytest.mark.parametrize("form", ROTATIONS)
@pytest.mark.parametrize("q", HALF_TURNS)
def test_half_turns_survive(form: str, q: list[float]) -> None:
    same_rotation(to_quaternion(from_quaternion(np.array(q, float), form), form), np.array(q, float))


@pytest.mark.parametrize("form", ROTATIONS)
@given(angles=locked)
def test_gimbal_lock_survives(form: str, angles: np.ndarray) -> None:
    q = to_quaternion(angles, "euler_xyz")
    values = from_quaternion(q, form)
    assert np.isfinite(values).all()
    same_rotation(to_quaternion(values, form), q)


@given(st.floats(0, 1e-6), quaternions)
def test_small_turns_keep_their_size(angle: float, q: np.ndarray) -> None:
    axis = q[:3] / max(np.linalg.norm(q[:3]), 1e-3)
    turned = to_quaternion(axis * angle, "axis_angle")
    np.testing.assert_allclose(from_quaternion(turned, "axis_angle"), axis * angle, rtol=1e-9, atol=1e-30)


def test_the_order_of_a_quaternion_is_all_that_changes() -> None:
    values = np.array([[0.1, -0.2, 0.3, 0.4], [0.0, 0.0, 0.0, 0.0]])
    turned = ConvertRotation("quaternion_xyzw", "quaternion_wxyz").apply(values)
    np.testing.assert_array_equal(turned, values[:, [3, 0, 1, 2]])
    np.testing.assert_array_equal(ConvertRotation("quaternion_xyzw", "quaternion_wxyz").inverse(turned), values)


def test_six_numbers_of_a_network_become_a_rotation() -> None:
    matrix = ConvertRotation("rot6d", "matrix").apply(np.array([2.0, 0, 0, 5.0, 3.0, 0])).reshape(3, 3)
    np.testing.assert_allclose(matrix, np.eye(3), atol=1e-15)


@pytest.mark.parametrize("form", ROTATIONS)
def test_what_is_no_rotation_gives_nan(form: str) -> None:
    nothing = np.full((2, ROTATION_WIDTHS[form]), np.nan)
    assert np.isnan(to_quaternion(nothing, form)).all()
    assert np.isnan(to_quaternion(np.zeros((1, 4)), "quaternion_xyzw")).all()


@given(quaternions, quaternions)
def test_turning_on_and_back(left: np.ndarray, right: np.ndarray) -> None:
    same_rotation(multiply(left, right), (Rotation.from_quat(left) * Rotation.from_quat(right)).as_quat())
    same_rotation(multiply(invert(left), multiply(left, right)), right)


@given(quaternions, quaternions, st.floats(0, 1))
def test_slerp_goes_the_shorter_way_evenly(start: np.ndarray, end: np.ndarray, share: float) -> None:
    whole = float(angle_between(start, end))
    at = slerp(start, end, np.array(share))
    assert np.linalg.norm(at) == pytest.approx(1.0, abs=1e-9)
    assert float(angle_between(start, at)) == pytest.approx(share * whole, abs=1e-7)
    if whole < math.pi - 1e-3:
        expected = Slerp([0, 1], Rotation.from_quat([start, end]))(share).as_quat()
        same_rotation(at, expected, within=1e-6)


@given(quaternions, quaternions)
def test_slerp_begins_where_it_begins(start: np.ndarray, end: np.ndarray) -> None:
    np.testing.assert_array_equal(slerp(start, end, np.array(0.0)), start)
    same_rotation(slerp(start, end, np.array(1.0)), end)
    # Half a turn apart, both ways are equally short.
    assume(float(angle_between(start, end)) < math.pi - 1e-3)
    # The same whatever sign a driver gave the second quaternion, and whichever number comes first.
    same_rotation(slerp(start, -end, np.array(0.3)), slerp(start, end, np.array(0.3)), within=1e-6)
    np.testing.assert_allclose(
        np.roll(slerp(start, end, np.array(0.3)), 1),
        slerp(np.roll(start, 1), np.roll(end, 1), np.array(0.3)),
        atol=1e-12,
    )


def test_a_form_that_nobody_knows_is_named() -> None:
    with pytest.raises(ContractError, match="rotation is 'euler_zyx', expected one of quaternion_xyzw"):
        ConvertRotation("euler_zyx", "matrix")
    with pytest.raises(ContractError, match=r"a quaternion_wxyz has 4 numbers, found shape \[5, 3\]"):
        ConvertRotation("quaternion_wxyz", "matrix").apply(np.zeros((5, 3)))
