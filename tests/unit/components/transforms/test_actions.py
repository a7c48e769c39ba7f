from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from components.core.errors import ContractError
from components.core.spec import REPRESENTATIONS, ROTATION_WIDTHS, ActionGroup
from components.transforms.actions import (
    ConvertActions,
    RelativeActions,
    as_written,
    step_between,
    step_on,
    turn,
    with_representation,
)
from components.transforms.rotations import angle_between


def group(width: int = 3, **changes: Any) -> ActionGroup:
    names = tuple(f"d{number}" for number in range(width))
    plain = ActionGroup("arm", names, "m", "base", "absolute", (-9.0,) * width, (9.0,) * width)
    return replace(plain, **changes)


def rotation(form: str, units: str = "rad", **changes: Any) -> ActionGroup:
    return group(ROTATION_WIDTHS[form], name="turn", rotation=form, units=units, **changes)


GRIPPER = group(1, name="gripper", gripper_open=1.0, gripper_closed=0.0)
# An arm on each side, one with its gripper, and a base: three ways to write a rotation.
BODY = (
    group(),
    rotation("axis_angle"),
    GRIPPER,
    rotation("euler_xyz", "deg", frame="tool"),
    rotation("quaternion_wxyz"),
    group(2, name="base"),
)
WIDTH = sum(len(g.names) for g in BODY)


def chunk(seed: int, steps: int, groups: tuple[ActionGroup, ...] = BODY) -> np.ndarray:
    """[steps, A] with rotations all over the sphere."""
    rng = np.random.default_rng(seed)
    columns = []
    for one in groups:
        if one.rotation:
            q = rng.normal(size=(steps, 4))
            columns.append(as_written(one, q / np.linalg.norm(q, axis=1, keepdims=True)))
        else:
            columns.append(rng.normal(size=(steps, len(one.names))) * 10)
    return np.concatenate(columns, axis=1)


def assert_same(groups: tuple[ActionGroup, ...], found: np.ndarray, expected: np.ndarray) -> None:
    first = 0
    for one in groups:
        columns = slice(first, first + len(one.names))
        first = columns.stop
        if one.rotation:
            away = angle_between(turn(one, found[..., columns]), turn(one, expected[..., columns]))
            assert float(np.max(away)) < 1e-6
        else:
            np.testing.assert_allclose(found[..., columns], expected[..., columns], atol=1e-9)


@pytest.mark.parametrize("representation", REPRESENTATIONS)
@given(seed=st.integers(0, 10**6), steps=st.integers(1, 30))
def test_relative_actions_are_inverses(representation: str, seed: int, steps: int) -> None:
    groups = with_representation(BODY, representation)
    absolute = chunk(seed, 2 * steps).reshape(2, steps, WIDTH)
    reference = chunk(seed + 1, 2)
    relative = RelativeActions(groups)
    assert_same(groups, relative.inverse(relative.apply(absolute, reference), reference), absolute)


@given(found=st.sampled_from(REPRESENTATIONS), expected=st.sampled_from(REPRESENTATIONS), seed=st.integers(0, 10**6))
def test_every_representation_becomes_every_other(found: str, expected: str, seed: int) -> None:
    one, other = with_representation(BODY, found), with_representation(BODY, expected)
    reference, absolute = chunk(seed, 1)[0], chunk(seed + 1, 8)
    convert = ConvertActions(one, other)
    given_chunk = RelativeActions(one).apply(absolute, reference)
    converted = convert.apply(given_chunk, reference)
    assert_same(BODY, RelativeActions(other).inverse(converted, reference), absolute)
    assert_same(BODY, convert.inverse(converted, reference), given_chunk)


def test_steps_add_up_and_chunks_count_from_their_start() -> None:
    absolute, reference = np.array([[1.0], [3.0], [2.0]]), np.array([0.5])
    steps = RelativeActions((group(1, representation="step_delta"),)).apply(absolute, reference)
    from_start = RelativeActions((group(1, representation="chunk_relative"),)).apply(absolute, reference)
    assert steps[:, 0].tolist() == [0.5, 2.0, -1.0]
    assert from_start[:, 0].tolist() == [0.5, 2.5, 1.5]


def test_grippers_stay_places_unless_their_group_says_so() -> None:
    (kept,) = with_representation((GRIPPER,), "step_delta")
    assert kept.representation == "absolute"
    opening = np.array([[0.2], [0.9]])
    np.testing.assert_array_equal(RelativeActions((kept,)).apply(opening, np.array([1.0])), opening)
    told = replace(GRIPPER, representation="step_delta")
    np.testing.assert_allclose(RelativeActions((told,)).apply(opening, np.array([1.0])), [[-0.8], [0.7]])


def test_rotations_are_composed_and_not_subtracted() -> None:
    start, end = Rotation.from_rotvec([0.0, 0.0, np.pi / 2]), Rotation.from_rotvec([np.pi / 2, 0.0, 0.0])
    base, tool = rotation("axis_angle"), rotation("axis_angle", frame="tool")
    about_base = step_between(base, start.as_rotvec(), end.as_rotvec())
    about_tool = step_between(tool, start.as_rotvec(), end.as_rotvec())
    np.testing.assert_allclose(about_base, (end * start.inv()).as_rotvec(), atol=1e-12)
    np.testing.assert_allclose(about_tool, (start.inv() * end).as_rotvec(), atol=1e-12)
    assert not np.allclose(about_base, about_tool)
    assert not np.allclose(about_base, end.as_rotvec() - start.as_rotvec())


def test_an_angle_that_wraps_is_a_small_step() -> None:
    yaw = rotation("euler_xyz", "deg")
    step = step_between(yaw, np.array([0.0, 0.0, 179.0]), np.array([0.0, 0.0, -179.0]))
    np.testing.assert_allclose(step, [0.0, 0.0, 2.0], atol=1e-9)
    np.testing.assert_allclose(step_on(yaw, np.array([0.0, 0.0, 179.0]), step), [0.0, 0.0, -179.0], atol=1e-9)


def test_shares_of_a_limit_are_not_composed() -> None:
    shares = rotation("axis_angle", "normalised (1 = 0.5 rad a step)", representation="step_delta")
    with pytest.raises(ContractError, match=r"group 'turn': units is 'normalised \(1 = 0.5 rad .*', expected rad"):
        RelativeActions((shares,))
    RelativeActions((replace(shares, representation="absolute"),))


@pytest.mark.parametrize(
    ("shape", "reference", "said"),
    [
        ((4, 2), (3,), r"a chunk has shape \[4, 2\], expected \[\.\.\., H, 3\]"),
        ((3,), (3,), r"a chunk has shape \[3\]"),
        ((2, 4, 3), (3,), r"the reference has shape \[3\], expected \[2, 3\]"),
    ],
)
def test_shapes_that_do_not_fit_are_named(shape: tuple[int, ...], reference: tuple[int, ...], said: str) -> None:
    with pytest.raises(ContractError, match=said):
        RelativeActions((group(),)).apply(np.zeros(shape), np.zeros(reference))


def test_only_the_representation_may_differ() -> None:
    with pytest.raises(ContractError, match="group 'arm': units is 'm', expected 'mm'"):
        ConvertActions((group(),), (group(units="mm"),))
    with pytest.raises(ContractError, match="1 groups of actions, expected 2"):
        ConvertActions((group(),), (group(), GRIPPER))
    with pytest.raises(ContractError, match="representation is 'relative', expected one of absolute"):
        with_representation((group(),), "relative")
