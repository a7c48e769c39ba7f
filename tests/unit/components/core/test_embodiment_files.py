from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.core.embodiment_files import embodiment, known_embodiments, load_embodiment
from components.core.errors import ContractError
from components.core.spec import ROTATION_WIDTHS, SAWYER_CELL, Embodiment, embodiment_from_dict, require_same

ROBOTS = Path(__file__).resolve().parents[4] / "robots"
BUILT_IN = [name for name in known_embodiments() if name != SAWYER_CELL.name]

# What the recordings of each robot hold: actions, state, rate and cameras.
SIZES = {
    "aloha": (14, 14, 50, 4),
    "mobile-aloha": (16, 14, 50, 3),
    "droid-franka": (8, 8, 15, 3),
    "droid-franka-cartesian": (7, 7, 15, 3),
    "bridge-widowx": (7, 7, 5, 1),
    "libero-panda": (7, 8, 20, 2),
    "panda-robomimic": (7, 9, 20, 2),
    "unitree-g1": (26, 26, 30, 1),
    "so101": (6, 6, 30, 2),
    "reachy2": (19, 19, 30, 1),
}


def plain() -> dict[str, Any]:
    return json.loads(json.dumps(SAWYER_CELL.as_dict())) | {"name": "mine"}


def written(folder: Path, value: Any, name: str = "mine") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(value if isinstance(value, str) else yaml.safe_dump(value))
    return path


def all_of(body: Embodiment) -> list[Any]:
    return [*body.observation.state, *body.observation.kept, *body.action.groups]


@pytest.mark.parametrize("name", BUILT_IN)
def test_each_robot_that_comes_along_loads_and_survives_json(name: str) -> None:
    body = embodiment(name)
    again = embodiment_from_dict(json.loads(json.dumps(body.as_dict())))
    require_same(body, again, where="json")
    assert (again, again.digest) == (body, body.digest)
    found = (body.action.dim, len(body.observation.state_names), body.action.rate_hz, len(body.observation.cameras))
    assert found == SIZES[name]


@pytest.mark.parametrize("name", BUILT_IN)
def test_each_robot_that_comes_along_makes_sense(name: str) -> None:
    body = embodiment(name)
    assert len(set(body.action.names)) == body.action.dim
    assert len(set(body.observation.state_names)) == len(body.observation.state_names)
    for group in body.action.groups:
        for low, high in zip(group.low, group.high, strict=True):
            assert low < high, group.name
            assert max(abs(low), abs(high)) <= (180 if group.units in ("deg", "percent") else 3.15), group.name
        if group.gripper_open is not None and group.gripper_closed is not None:
            assert min(group.low) <= min(group.gripper_open, group.gripper_closed), group.name
            assert max(group.high) >= max(group.gripper_open, group.gripper_closed), group.name
    for group in all_of(body):
        assert not group.rotation or len(group.names) == ROTATION_WIDTHS[group.rotation]
        assert group.units, group.name


@pytest.mark.parametrize("name", BUILT_IN)
def test_grippers_of_state_and_action_count_the_same_way(name: str) -> None:
    body = embodiment(name)
    ends = {g.names: (g.gripper_open, g.gripper_closed) for g in body.action.groups if g.gripper_open is not None}
    seen = {g.names: (g.gripper_open, g.gripper_closed) for g in body.observation.state if g.gripper_open is not None}
    assert {names: ends[names] for names in seen} == seen


def test_every_robot_that_comes_along_is_known() -> None:
    assert known_embodiments() == sorted([SAWYER_CELL.name, *SIZES])
    assert embodiment("sawyer-cell") is SAWYER_CELL


def test_a_team_s_own_file_comes_first(tmp_path: Path) -> None:
    written(tmp_path, plain() | {"name": "aloha"}, "aloha")
    assert embodiment("aloha", tmp_path).action == SAWYER_CELL.action
    assert embodiment("aloha").action.dim == 14
    written(tmp_path, plain())
    assert set(known_embodiments(tmp_path)) == {*known_embodiments(), "mine"}


@pytest.mark.parametrize("name", ["octopus", "../aloha", ""])
def test_an_unknown_robot_is_named_with_the_known(name: str, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=f"no embodiment '{name}'; known: aloha, bridge-widowx") as caught:
        embodiment(name, tmp_path)
    assert caught.value.hint == f"Describe the robot in {tmp_path}/{name}.yaml"


def changed(**changes: Any) -> dict[str, Any]:
    value = plain()
    value["action"]["groups"][0] |= changes
    return value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (changed(unit="m"), r"action\.groups\.0\.unit: .*"),
        (changed(low=["a", 0, 0]), r"action\.groups\.0\.low\.0: .*number"),
        (changed(low=[0.0]), "group 'arm': names, low and high differ in length"),
        (changed(representation="delta"), "group 'arm': representation is 'delta', expected one of absolute"),
        ({key: value for key, value in plain().items() if key != "action"}, r"action: .*"),
        ({**plain(), "name": "yours"}, "name is 'yours', the file is called 'mine'"),
        ("name: [", "cannot be read as YAML"),
        ("just words", "mine.yaml"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, value: Any, said: str) -> None:
    path = written(tmp_path, value)
    with pytest.raises(ContractError, match=said) as caught:
        load_embodiment(path)
    assert caught.value.where == str(path)


def test_a_file_that_is_missing_says_so(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"cannot be read as YAML .*No such file"):
        load_embodiment(tmp_path / "mine.yaml")


def test_the_example_is_complete_and_no_robot_of_a_run() -> None:
    body = load_embodiment(ROBOTS / "examples" / "two-arm-cart.yaml")
    assert (body.action.dim, len(body.observation.state_names), body.observation.depth) == (16, 14, ("head_depth",))
    assert body.name not in known_embodiments(ROBOTS)
    assert (ROBOTS / "README.md").is_file()
