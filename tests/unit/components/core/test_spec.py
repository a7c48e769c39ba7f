from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from components.core.errors import ContractError
from components.core.spec import SAWYER_CELL, ActionGroup, StateGroup, embodiment_from_dict, require_same


def test_an_embodiment_survives_json() -> None:
    assert embodiment_from_dict(json.loads(json.dumps(SAWYER_CELL.as_dict()))) == SAWYER_CELL


def test_groups_lie_side_by_side() -> None:
    assert SAWYER_CELL.action.names == ("dx", "dy", "dz", "effort")
    assert SAWYER_CELL.action.dim == len(SAWYER_CELL.action.low) == len(SAWYER_CELL.action.high) == 4


def test_a_mismatch_names_the_field() -> None:
    arm, gripper = SAWYER_CELL.action.groups
    flipped = replace(SAWYER_CELL, action=replace(SAWYER_CELL.action, groups=(arm, replace(gripper, low=(0.0,)))))
    with pytest.raises(ContractError, match=r"sawyer-cell\.action\.groups\[1\]\.low\[0\] is 0\.0, expected -1\.0"):
        require_same(SAWYER_CELL, flipped, where="bundle")
    require_same(SAWYER_CELL, embodiment_from_dict(SAWYER_CELL.as_dict()), where="bundle")


def test_a_group_needs_limits_for_every_dimension() -> None:
    with pytest.raises(ContractError, match="names, low and high differ in length"):
        ActionGroup("arm", ("x", "y"), "m", "world", "absolute", (0.0,), (1.0, 1.0))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"representation": "relative"},
            "representation is 'relative', expected one of absolute, step_delta",
        ),
        ({"rotation": "euler"}, "rotation is 'euler', expected one of nothing, quaternion_xyzw"),
        ({"rotation": "quaternion_xyzw"}, "a quaternion_xyzw has 4 names, found 3"),
        ({"gripper_open": 1.0}, "gripper_open and gripper_closed are given together or not at all"),
        ({"gripper_open": 1.0, "gripper_closed": 1.0}, "gripper_open and gripper_closed are both 1.0"),
    ],
)
def test_a_group_that_makes_no_sense_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ContractError, match=f"group 'arm': {said}"):
        replace(SAWYER_CELL.action.groups[0], **changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"interpolate": "cubic"}, "interpolate is 'cubic', expected one of linear, slerp, previous, nearest"),
        ({"interpolate": "slerp"}, "slerp needs rotation: quaternion_xyzw or quaternion_wxyz"),
        ({"rotation": "rot6d"}, "a rot6d has 6 names, found 3"),
        ({"gripper_closed": 0.0}, "gripper_open and gripper_closed are given together"),
    ],
)
def test_a_state_group_that_makes_no_sense_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ContractError, match=f"state group 'hand': {said}"):
        replace(SAWYER_CELL.observation.state[0], **changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cameras": ("fixed", "fixed")}, "camera 'fixed' is named twice"),
        ({"depth": ("wrist",)}, "camera 'wrist' is named twice"),
        ({"kept": (StateGroup("all", ("x",), "m", "state"),)}, r"a feature observation\.state is there already"),
    ],
)
def test_observations_do_not_get_in_each_others_way(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ContractError, match=said):
        replace(SAWYER_CELL.observation, **changes)


def test_a_robot_that_does_nothing_is_refused() -> None:
    with pytest.raises(ContractError, match=r"action\.groups is empty"):
        replace(SAWYER_CELL.action, groups=())
    with pytest.raises(ContractError, match=r"action\.rate_hz is 0, it must be above 0"):
        replace(SAWYER_CELL.action, rate_hz=0)


NEW_FIELDS: list[tuple[str, dict[str, Any], str]] = [
    ("action", {"stream": "action_executed"}, r"action\.groups\[0\]\.stream is 'action_executed', expected 'action'"),
    ("action", {"measured": True}, r"action\.groups\[0\]\.measured is True, expected False"),
    ("action", {"rotation": "euler_xyz"}, r"action\.groups\[0\]\.rotation is 'euler_xyz', expected ''"),
    (
        "action",
        {"representation": "absolute"},
        r"action\.groups\[0\]\.representation is 'absolute', expected 'step_delta'",
    ),
    ("action", {"units": "m"}, r"action\.groups\[0\]\.units is 'm', expected 'normalised"),
    ("action", {"frame": "tool"}, r"action\.groups\[0\]\.frame is 'tool', expected 'world'"),
    ("state", {"interpolate": "previous"}, r"observation\.state\[0\]\.interpolate is 'previous', expected 'linear'"),
    ("state", {"stream": "eef"}, r"observation\.state\[0\]\.stream is 'eef', expected 'hand'"),
    ("state", {"units": "mm"}, r"observation\.state\[0\]\.units is 'mm', expected 'm'"),
]


@pytest.mark.parametrize(("where", "changes", "said"), NEW_FIELDS)
def test_every_field_of_a_group_counts(where: str, changes: dict[str, Any], said: str) -> None:
    action, seen = SAWYER_CELL.action, SAWYER_CELL.observation
    if where == "action":
        changed = replace(
            SAWYER_CELL, action=replace(action, groups=(replace(action.groups[0], **changes), *action.groups[1:]))
        )
    else:
        changed = replace(
            SAWYER_CELL, observation=replace(seen, state=(replace(seen.state[0], **changes), *seen.state[1:]))
        )
    with pytest.raises(ContractError, match=f"sawyer-cell.{said}"):
        require_same(SAWYER_CELL, changed, where="bundle")
    assert changed.digest != SAWYER_CELL.digest


def test_a_gripper_that_closes_the_other_way_is_another_robot() -> None:
    arm, gripper = SAWYER_CELL.action.groups
    turned = replace(gripper, gripper_open=1.0, gripper_closed=-1.0)
    changed = replace(SAWYER_CELL, action=replace(SAWYER_CELL.action, groups=(arm, turned)))
    with pytest.raises(ContractError, match=r"groups\[1\]\.gripper_closed is -1\.0, expected 1\.0"):
        require_same(SAWYER_CELL, changed, where="bundle")


def test_state_names_and_units_lie_side_by_side() -> None:
    seen = SAWYER_CELL.observation
    assert seen.state_names == ("hand_x", "hand_y", "hand_z", "gripper_opening")
    assert seen.state_units == ("m", "m", "m", "normalised")


def reach(**limits: tuple[float, ...]) -> StateGroup:
    return StateGroup("joints", ("j1", "j2"), "rad", "joints", **limits)  # type: ignore[arg-type]


def test_a_state_group_may_say_what_the_robot_can_reach() -> None:
    group = reach(low=(-1.0, -2.0), high=(1.0, 2.0))
    body = replace(SAWYER_CELL, observation=replace(SAWYER_CELL.observation, kept=(group,)))
    assert embodiment_from_dict(json.loads(json.dumps(body.as_dict()))).observation.kept == (group,)
    assert (reach().low, reach().high) == ((), ())


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"low": (-1.0, -2.0)}, "names, low and high differ in length"),
        ({"high": (1.0, 2.0)}, "names, low and high differ in length"),
        ({"low": (-1.0,), "high": (1.0,)}, "names, low and high differ in length"),
        ({"low": (-1.0, 2.0), "high": (1.0, 2.0)}, "a limit low is not below its high"),
    ],
)
def test_limits_of_a_state_group_are_for_every_dimension(limits: dict[str, tuple[float, ...]], said: str) -> None:
    with pytest.raises(ContractError, match=f"state group 'joints': {said}"):
        reach(**limits)
