from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.episode import Form, Stream, StreamKind
from components.core.errors import EpisodeError
from components.core.spec import ActionGroup, StateGroup
from components.ingest.conform import cut, found_representation
from components.transforms.rotations import ConvertRotation, angle_between, to_quaternion

JOINTS = StateGroup("joints", ("a", "b"), "rad", "s")
PLACE = StateGroup("place", ("x", "y", "z"), "m", "s")
TURN = StateGroup("turn", ("qx", "qy", "qz", "qw"), "unit quaternion", "s", rotation="quaternion_xyzw")
GRIPPER = StateGroup("gripper", ("g",), "normalised", "s", gripper_open=1.0, gripper_closed=-1.0)


def stream(values: Any, kind: StreamKind = "state", names: tuple[str, ...] = (), **form: Any) -> Stream:
    array = np.asarray(values, dtype=np.float64)
    return Stream("s", kind, np.arange(len(array), dtype=np.int64), array, names, Form(**form))


def values_of(found: list[Stream]) -> list[np.ndarray]:
    return [np.asarray(part.values) for part in found]


def test_groups_take_the_columns_in_turn() -> None:
    joints, gripper = cut(stream([[1, 2, 3], [4, 5, 6]]), [JOINTS, GRIPPER], where="f")
    np.testing.assert_array_equal(joints.values, [[1, 2], [4, 5]])
    np.testing.assert_array_equal(gripper.values, [[3], [6]])
    assert (joints.name, joints.names, gripper.names) == ("s", ("a", "b"), ("g",))


def test_columns_that_are_named_are_found_by_name() -> None:
    shuffled = stream([[1, 2, 3]], names=("g", "b", "a"))
    joints, gripper = values_of(cut(shuffled, [JOINTS, GRIPPER], where="f"))
    assert (joints.tolist(), gripper.tolist()) == ([[3, 2]], [[1]])
    # Other names say nothing of the order.
    others = stream([[1, 2, 3]], names=("j3", "j2", "j1"))
    assert values_of(cut(others, [JOINTS, GRIPPER], where="f"))[0].tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("units", "group", "factor"),
    [("deg", JOINTS, np.pi / 180), ("rad", JOINTS, 1.0), ("mm", PLACE, 0.001), ("cm", PLACE, 0.01), ("", PLACE, 1.0)],
)
def test_units_are_converted(units: str, group: StateGroup, factor: float) -> None:
    values = np.arange(1.0, len(group.names) + 1)[None]
    (found,) = values_of(cut(stream(values, units=units), [group], where="f"))
    np.testing.assert_allclose(found, values * factor, rtol=1e-15)


@given(st.floats(-1e6, 1e6))
def test_a_gripper_that_counts_the_other_way_is_turned(value: float) -> None:
    (found,) = values_of(cut(stream([[value], [0.0], [100.0]], gripper=(0.0, 100.0)), [GRIPPER], where="f"))
    np.testing.assert_allclose(found[:, 0], [1 - value / 50, 1.0, -1.0], rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("found_in", ["quaternion_wxyz", "euler_xyz", "axis_angle", "matrix", "rot6d"])
def test_a_pose_is_brought_to_the_rotation_of_the_group(found_in: str) -> None:
    turn = np.array([[0.5, -0.5, 0.1, 0.7]])
    written = ConvertRotation("quaternion_xyzw", found_in).apply(turn)
    pose = stream(np.concatenate([[[1000.0, 0, 0]], written], axis=1), units="mm", rotation=found_in)
    place, rotation = values_of(cut(pose, [PLACE, TURN], where="f"))
    np.testing.assert_allclose(place, [[1.0, 0, 0]])
    assert float(angle_between(rotation, turn)[0]) < 1e-7


def test_angles_of_a_rotation_have_a_unit_too() -> None:
    rpy = StateGroup("turn", ("r", "p", "y"), "rad", "s", rotation="euler_xyz")
    (same,) = values_of(cut(stream([[0, 0, 90]], units="deg"), [rpy], where="f"))
    np.testing.assert_allclose(same, [[0, 0, np.pi / 2]])
    (turned,) = values_of(cut(stream([[0, 0, 90]], units="deg", rotation="euler_xyz"), [TURN], where="f"))
    assert float(angle_between(turned, to_quaternion(same, "euler_xyz"))[0]) < 1e-12
    in_degrees = replace(rpy, units="deg")
    (back,) = values_of(cut(stream(turned, rotation="quaternion_xyzw"), [in_degrees], where="f"))
    np.testing.assert_allclose(back, [[0, 0, 90]], atol=1e-9)


@pytest.mark.parametrize(
    ("form", "groups", "said"),
    [
        ({"units": "deg"}, [PLACE], "units is 'deg', group 'place' expects 'm'"),
        ({"units": "normalised"}, [PLACE], "units is 'normalised', group 'place' expects 'm'"),
        ({"rotation": "euler_xyz"}, [PLACE], "rotation is 'euler_xyz', group 'place' expects 'none'"),
        ({"rotation": "euler_zyx"}, [TURN], "rotation is 'euler_zyx', group 'turn' expects 'one of quaternion_xyzw"),
        ({"gripper": (0.0, 1.0)}, [PLACE], "gripper_open is 0.0, group 'place' expects 'none'"),
        ({"rotation": "quaternion_xyzw", "units": "N"}, [TURN], "units is 'N', group 'turn' expects"),
    ],
)
def test_what_cannot_be_converted_is_named(form: dict[str, Any], groups: list[StateGroup], said: str) -> None:
    width = sum(len(group.names) for group in groups)
    with pytest.raises(EpisodeError, match=f"stream 's': {said}") as caught:
        cut(stream(np.ones((2, width)), **form), groups, where="a.mcap")
    assert (caught.value.code, caught.value.where) == ("wrong_form", "a.mcap")


def test_a_rotation_in_shares_of_a_limit_is_not_converted() -> None:
    shares = StateGroup("turn", ("r", "p", "y"), "normalised", "s", rotation="euler_xyz")
    with pytest.raises(EpisodeError, match="rotation is 'quaternion_xyzw', group 'turn' expects 'euler_xyz in normal"):
        cut(stream(np.ones((2, 4)), rotation="quaternion_xyzw"), [shares], where="f")


def test_streams_of_another_shape_or_kind_are_refused() -> None:
    with pytest.raises(EpisodeError, match=r"s has 3 dimensions, expected 2 \(a, b\)") as caught:
        cut(stream([[1, 2, 3]]), [JOINTS], where="f")
    assert caught.value.code == "wrong_shape"
    pictures = Stream("s", "image", np.zeros(1, np.int64), [b"jpeg"])
    with pytest.raises(EpisodeError, match="stream 's' holds pictures, expected numbers") as caught:
        cut(pictures, [JOINTS], where="f")
    assert caught.value.code == "wrong_kind"


def action(representation: str, **changes: Any) -> ActionGroup:
    return ActionGroup("arm", ("x",), "m", "base", representation, (-1.0,), (1.0,), **changes)


@pytest.mark.parametrize(
    ("found", "expected", "read_as"),
    [
        ("", "step_delta", "step_delta"),
        ("", "chunk_relative", "absolute"),
        ("absolute", "step_delta", "absolute"),
        ("absolute", "chunk_relative", "absolute"),
        ("step_delta", "step_delta", "step_delta"),
    ],
)
def test_places_become_steps(found: str, expected: str, read_as: str) -> None:
    recorded = stream([[0.0]], kind="action", representation=found)
    assert found_representation(recorded, action(expected), where="f") == read_as


@pytest.mark.parametrize(("found", "expected"), [("step_delta", "absolute"), ("chunk_relative", "step_delta")])
def test_steps_do_not_say_where_they_began(found: str, expected: str) -> None:
    recorded = stream([[0.0]], kind="action", representation=found)
    with pytest.raises(EpisodeError, match=f"representation is '{found}', group 'arm' expects '{expected}'") as caught:
        found_representation(recorded, action(expected), where="f")
    assert caught.value.code == "wrong_form"


def test_places_do_not_become_shares_of_a_limit() -> None:
    turns = ActionGroup("turn", ("r", "p", "y"), "normalised", "base", "step_delta", (-1.0,) * 3, (1.0,) * 3)
    recorded = stream(np.zeros((1, 3)), kind="action", representation="absolute")
    assert found_representation(recorded, turns, where="f") == "absolute"
    with pytest.raises(EpisodeError, match="representation is 'absolute', group 'turn' expects 'step_delta'"):
        found_representation(recorded, replace(turns, rotation="euler_xyz"), where="f")


def test_a_stream_is_called_relative_for_its_arm() -> None:
    recorded = stream([[0.0]], kind="action", representation="step_delta")
    gripper = action("absolute", gripper_open=0.0, gripper_closed=1.0)
    assert found_representation(recorded, gripper, where="f") == "absolute"
