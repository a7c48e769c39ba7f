from __future__ import annotations

import json

import pytest
import torch

from components.core.errors import ContractError, UsageError
from components.core.spec import SAWYER_CELL
from components.policy.presets import build, config_from_dict
from components.policy.shape import Shape


def test_unknown_preset_names_the_known_ones():
    with pytest.raises(UsageError, match=r"no preset 'huge'.*gripline-tiny"):
        build("huge", Shape(SAWYER_CELL, 4, 4, 8))


def test_weights_follow_from_the_seed(config):
    modules = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        modules.append(config.build().state_dict())
    assert all(torch.equal(modules[0][name], modules[1][name]) for name in modules[0])
    assert any(not torch.equal(modules[0][name], modules[2][name]) for name in modules[0])


def test_configuration_survives_json(config):
    assert config_from_dict(json.loads(json.dumps(config.as_dict()))) == config


def test_a_configuration_from_before_there_were_wordless_policies_is_of_one_that_reads(config):
    older = {key: value for key, value in config.as_dict().items() if key != "wordless"}
    assert config_from_dict(older) == config
    assert not config_from_dict(older).wordless


@pytest.mark.parametrize("change", [{"depth": 3}, {"chunk": None}])
def test_configuration_of_other_fields_is_refused(config, change):
    value = {key: item for key, item in {**config.as_dict(), **change}.items() if item is not None}
    with pytest.raises(ContractError, match=r"depth|chunk"):
        config_from_dict(value)
