from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from components.core.errors import ContractError
from components.core.spec import SAWYER_CELL, ActionGroup, ActionSpec, Embodiment, ObservationSpec, StateGroup
from components.dataset.statistics.chunks import Frames, Represented
from components.transforms.actions import RelativeActions, with_representation

LENGTHS = (5, 1, 9)
QUATERNION = tuple(f"q{axis}" for axis in "xyzw")


def group(name: str, names: tuple[str, ...], representation: str = "absolute", **changes: Any) -> ActionGroup:
    low, high = (-10.0,) * len(names), (10.0,) * len(names)
    return ActionGroup(name, names, "rad", "base", representation, low, high, **changes)


def robot(*groups: ActionGroup, state: tuple[StateGroup, ...] = ()) -> Embodiment:
    return Embodiment("robot", ObservationSpec(("front",), 32, state), ActionSpec(groups, 20.0, "position"))


ARM = group("arm", ("j0", "j1"))
TURN = group("turn", QUATERNION, rotation="quaternion_xyzw")
GRIPPER = group("gripper", ("open",), gripper_open=1.0, gripper_closed=0.0)
STATE = (
    StateGroup("torso", ("t0",), "m", "torso"),
    StateGroup("arm", ("j0", "j1"), "rad", "arm"),
    StateGroup("turn", QUATERNION, "rad", "turn", rotation="quaternion_xyzw"),
)


def unit(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    values = values / np.linalg.norm(values, axis=1, keepdims=True)
    return values * np.where(values[:, 3:] < 0, -1, 1)


def frames_of(robot: Embodiment, seed: int = 1) -> Frames:
    rng, count = np.random.default_rng(seed), sum(LENGTHS)
    sizes = [("turn" in g.name, len(g.names)) for g in robot.action.groups]
    states = [("turn" in g.name, len(g.names)) for g in robot.observation.state]
    action, state = (
        np.concatenate(
            [unit(rng.normal(size=(count, n))) if turn else rng.normal(size=(count, n)) for turn, n in part], 1
        )
        if part
        else np.zeros((count, 0))
        for part in (sizes, states)
    )
    return Frames(state, action, np.repeat([2, 5, 6], LENGTHS))


def by_hand(frames: Frames, robot: Embodiment, horizon: int, reference: npt.NDArray[np.float64]) -> list[list[Any]]:
    """Chunk by chunk through `RelativeActions`: for each step the actions of all frames that have it."""
    relative = RelativeActions(with_representation(robot.action.groups, "chunk_relative"))
    found: list[list[Any]] = [[] for _ in range(horizon)]
    for frame, episode in enumerate(frames.episode):
        last = min(frame + horizon, int(np.flatnonzero(frames.episode == episode)[-1]) + 1)
        for step, action in enumerate(relative.apply(frames.action[frame:last], reference[frame])):
            found[step].append(action)
    return found


def test_chunks_are_relative_to_the_state_and_end_with_the_episode() -> None:
    embodiment = robot(ARM, TURN, GRIPPER, state=STATE)
    frames = frames_of(embodiment)
    represented = Represented(embodiment, "chunk_relative", 7)
    assert represented.references == {"arm": "state", "turn": "state", "gripper": ""}
    reference = np.concatenate([frames.state[:, 1:], np.zeros((len(frames.episode), 1))], axis=1)
    for (_, found), expected in zip(represented.steps(frames), by_hand(frames, embodiment, 7, reference), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_without_a_like_state_chunks_are_relative_to_the_action_before() -> None:
    embodiment = robot(ARM, GRIPPER, state=(StateGroup("arm", ("j0", "j1"), "deg", "arm"),))
    frames = frames_of(embodiment)
    represented = Represented(embodiment, "chunk_relative", 3)
    assert represented.references == {"arm": "action before", "gripper": ""}
    for step, (here, found) in enumerate(represented.steps(frames)):
        assert not set(here) & {0, 5, 6}
        np.testing.assert_allclose(found[:, :2], frames.action[here + step, :2] - frames.action[here - 1, :2])
        np.testing.assert_array_equal(found[:, 2], frames.action[here + step, 2])


def test_steps_between_actions_leave_out_the_first_of_an_episode() -> None:
    embodiment = robot(ARM, GRIPPER, state=STATE)
    frames = frames_of(embodiment)
    ((here, found),) = Represented(embodiment, "step_delta", 1).steps(frames)
    assert here.tolist() == [1, 2, 3, 4, *range(7, 15)]
    np.testing.assert_allclose(found[:, :2], np.diff(frames.action[:, :2], axis=0)[here - 1])
    np.testing.assert_array_equal(found[:, 2], frames.action[here, 2])


def test_recorded_steps_are_composed_over_a_chunk() -> None:
    embodiment = robot(replace(ARM, representation="step_delta"), replace(TURN, representation="step_delta"), GRIPPER)
    frames = frames_of(embodiment)
    still = np.array([0.0, 0, 0, 0, 0, 1, 0])
    relative = RelativeActions(embodiment.action.groups)
    for step, (here, found) in enumerate(Represented(embodiment, "chunk_relative", 4).steps(frames)):
        expected = [relative.inverse(frames.action[frame : frame + step + 1], still)[-1] for frame in here]
        np.testing.assert_allclose(found[:, :2], np.array(expected)[:, :2], atol=1e-12)
        np.testing.assert_allclose(unit(found[:, 2:6]), unit(np.array(expected)[:, 2:6]), atol=1e-9)
        np.testing.assert_array_equal(found[:, 6], frames.action[here + step, 6])


@pytest.mark.parametrize("representation", ["absolute", "step_delta"])
def test_what_is_recorded_so_stays_so(representation: str) -> None:
    embodiment = robot(replace(ARM, representation=representation), GRIPPER)
    frames = frames_of(embodiment)
    ((here, found),) = Represented(embodiment, representation, 1).steps(frames)
    assert here.tolist() == list(range(15))
    np.testing.assert_array_equal(found, frames.action)


def test_what_cannot_be_had_is_refused_by_name() -> None:
    with pytest.raises(ContractError, match=r"group 'arm' is recorded as steps.*Ask for step_delta"):
        Represented(SAWYER_CELL, "absolute", 1)
    with pytest.raises(ContractError, match="representation is 'delta', expected one of absolute"):
        Represented(SAWYER_CELL, "delta", 1)
    with pytest.raises(ContractError, match="a horizon of 5 for step_delta"):
        Represented(SAWYER_CELL, "step_delta", 5)
    with pytest.raises(ContractError, match="a horizon of 0 for chunk_relative"):
        Represented(SAWYER_CELL, "chunk_relative", 0)
    shares = group("turn", ("x", "y", "z"), "step_delta", rotation="axis_angle")
    with pytest.raises(ContractError, match=r"group 'turn': units is 'normalised'.*to compose"):
        Represented(robot(replace(shares, units="normalised")), "chunk_relative", 2)
    assert Represented(robot(replace(shares, units="normalised")), "step_delta", 1).references == {"turn": ""}
