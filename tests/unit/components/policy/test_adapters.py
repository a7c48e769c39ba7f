from __future__ import annotations

import pytest
from torch import nn

from components.core.errors import ContractError
from components.policy.adapters import Adapters, adapters_of, module_key

ADAPTERS = Adapters(state=("reads",), action=("writes",), cameras=("eyes",))


@pytest.mark.parametrize(
    ("name", "edge"),
    [
        ("reads", "state"),
        ("reads.weight", "state"),
        ("readsmore.weight", ""),
        ("writes.0.bias", "action"),
        ("eyes", ""),
    ],
)
def test_what_belongs_to_one_robot(name, edge):
    assert ADAPTERS.edge_of(name) == edge


def test_a_camera_is_known_by_its_name():
    key = module_key("left.wrist")
    assert ADAPTERS.camera_of(f"eyes.{key}.conv.weight") == key
    assert ADAPTERS.camera_of("eyes.common.weight") == ""
    assert ADAPTERS.camera_of(f"other.{key}.weight") == ""
    nn.ModuleDict({module_key("type"): nn.Identity(), key: nn.Identity()})  # names that torch itself would refuse


def test_a_preset_that_declares_nothing_is_named():
    with pytest.raises(ContractError, match="preset 'mine' does not say which of its modules belong to one robot"):
        adapters_of(nn.Linear(1, 1), "mine")
