from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from components.core.spec import SAWYER_CELL
from components.policy.takeover import take_over
from components.policy.tiny import TinyPolicy

SEEN = SAWYER_CELL.observation
ARM_ONLY = replace(SAWYER_CELL, name="arm", action=replace(SAWYER_CELL.action, groups=SAWYER_CELL.action.groups[:1]))


def _build(config, seed: int = 1):
    torch.manual_seed(seed)
    return config.build()


@pytest.fixture
def base(config):
    return _build(config, seed=9)


def _taken(policy, body, base, base_body=SAWYER_CELL):
    return take_over(policy, body, base.state_dict(), base_body, TinyPolicy.adapters)


def test_the_same_robot_takes_over_everything(config, base, observations):
    policy = _build(config)
    report = _taken(policy, SAWYER_CELL, base)
    assert torch.equal(policy(*observations), base(*observations))
    assert set(report.taken) == set(base.state_dict())
    assert not any((report.rows, report.copied, report.fresh, report.left_over))
    assert str(report).endswith("0 left over")


def test_every_tensor_is_accounted_for(config, base):
    body = replace(ARM_ONLY, observation=replace(SEEN, cameras=("wrist", "top"), state=SEEN.state[:1]))
    policy = _build(replace(config, embodiment=body, vocab_size=config.vocab_size + 3))
    report = _taken(policy, body, base)
    told = [set(report.taken), set(report.rows), set(report.copied), set(report.fresh)]
    assert set.union(*told) == set(policy.state_dict())
    assert sum(map(len, told)) == len(policy.state_dict())
    assert set(report.left_over) == {
        "head.first.sources.state.weight",
        "head.last.weight",
        "head.last.bias",
    }


def test_known_words_keep_their_rows_and_new_ones_are_fresh(config, base):
    policy = _build(replace(config, vocab_size=config.vocab_size + 3, text_len=config.text_len + 2))
    drawn = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
    report = _taken(policy, SAWYER_CELL, base)
    words = policy.language.words.weight
    assert report.rows["language.words.weight"] == [config.vocab_size, config.vocab_size + 3]
    assert torch.equal(words[: config.vocab_size], base.language.words.weight)
    assert torch.equal(words[config.vocab_size :], drawn["language.words.weight"][config.vocab_size :])
    assert report.rows["language.positions"] == [config.text_len, config.text_len + 2]


def test_actions_of_another_robot_start_afresh_and_its_state_is_taken(config, base):
    policy = _build(replace(config, embodiment=ARM_ONLY))
    report = _taken(policy, ARM_ONLY, base)
    assert report.fresh["head.last.bias"] == "[24]: the action of arm is not that of sawyer-cell"
    assert torch.equal(policy.head.first.sources["state"].weight, base.head.first.sources["state"].weight)


def test_other_limits_are_other_actions(config, base):
    group = replace(SAWYER_CELL.action.groups[0], low=(-2.0,) * 3)
    body = replace(SAWYER_CELL, action=replace(SAWYER_CELL.action, groups=(group, SAWYER_CELL.action.groups[1])))
    assert "head.last.weight" in _taken(_build(config), body, base).fresh


def test_a_camera_that_is_not_known_begins_as_a_copy_of_the_first(config, base):
    body = replace(SAWYER_CELL, observation=replace(SEEN, cameras=("wrist", "top")))
    policy = _build(replace(config, embodiment=body))
    report = _taken(policy, body, base)
    name = "eyes.camera_top.layers.0.conv.weight"
    assert report.copied[name] == "eyes.camera_fixed.layers.0.conv.weight"
    assert torch.equal(policy.state_dict()[name], base.state_dict()[report.copied[name]])
    assert torch.equal(policy.eyes["camera_wrist"].points.heat.weight, base.eyes["camera_wrist"].points.heat.weight)
    assert not report.left_over


def test_a_longer_chunk_keeps_the_steps_it_knows(config, base):
    policy = _build(replace(config, chunk=10))
    report = _taken(policy, SAWYER_CELL, base)
    assert report.rows["head.last.bias"] == [32, 40]
    assert torch.equal(policy.head.last.weight[:32], base.head.last.weight)


def test_a_blind_base_has_no_eyes_to_give(config):
    policy = _build(config)
    blind = _build(replace(config, blind=True), seed=9)
    report = _taken(policy, SAWYER_CELL, blind)
    assert report.fresh["eyes.camera_fixed.points.heat.bias"] == "[32]: the base has none"
    back = _taken(_build(replace(config, blind=True)), SAWYER_CELL, policy)
    assert {name.partition(".")[0] for name in back.left_over} == {"eyes", "head"}
