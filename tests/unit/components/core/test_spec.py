from __future__ import annotations

import json
from dataclasses import replace

import pytest

from components.core.errors import ContractError
from components.core.spec import SAWYER_CELL, ActionGroup, embodiment, embodiment_from_dict, require_same


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
    require_same(SAWYER_CELL, embodiment("sawyer-cell"), where="bundle")


def test_a_group_needs_limits_for_every_dimension() -> None:
    with pytest.raises(ContractError, match="names, low and high differ in length"):
        ActionGroup("arm", ("x", "y"), "m", "world", "absolute", (0.0,), (1.0, 1.0))


def test_an_unknown_embodiment_is_named_with_the_known() -> None:
    with pytest.raises(ContractError, match="no embodiment 'octopus'; known: sawyer-cell"):
        embodiment("octopus")
