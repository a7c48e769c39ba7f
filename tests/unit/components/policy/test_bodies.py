from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from components.core.errors import ContractError
from components.core.spec import SAWYER_CELL
from components.policy import presets
from components.policy.adapters import Adapters
from components.policy.bodies import Bodies, groups_of
from components.policy.catalogue.card import Preset
from components.policy.checkpoint import load_policy, save_policy
from components.transforms.chain import PolicyTransforms

STATE = SAWYER_CELL.observation.state
OTHER = replace(
    SAWYER_CELL,
    name="other",
    observation=replace(SAWYER_CELL.observation, cameras=("side", "wrist"), state=(STATE[0],)),
    action=replace(SAWYER_CELL.action, groups=SAWYER_CELL.action.groups[:1]),
)


@pytest.fixture
def other_config(config):
    return replace(config, embodiment=OTHER)


@pytest.fixture
def bodies(config, other_config):
    torch.manual_seed(4)
    return Bodies([config, other_config])


def make_batch(body: list[int]) -> dict[str, torch.Tensor]:
    """As padded by a loader: cameras fixed, wrist, side; state of 4, actions of 4."""
    rows, generator = len(body), torch.Generator().manual_seed(1)
    return {
        "images": torch.randint(0, 256, (rows, 3, 96, 96, 3), generator=generator, dtype=torch.uint8),
        "state": torch.randn(rows, 4, generator=generator),
        "tokens": torch.randint(1, 7, (rows, 6), generator=generator),
        "actions": torch.randn(rows, 8, 4, generator=generator),
        "mask": torch.ones(rows, 8),
        "body": torch.tensor(body),
    }


def test_the_trunk_is_one_object_and_the_edges_are_each_robots_own(bodies):
    own, other = bodies.policies
    assert own.language is other.language
    assert own.head.middle is other.head.middle
    assert own.head.first.bias is other.head.first.bias
    assert own.eyes["camera_wrist"] is other.eyes["camera_wrist"]
    assert own.head.last is not other.head.last
    assert own.head.first.sources["state"].weight.shape == (256, 4)
    assert other.head.first.sources["state"].weight.shape == (256, 3)
    assert set(other.eyes) == {"camera_side", "camera_wrist"}


def test_the_first_robot_begins_as_it_would_alone(bodies, config):
    torch.manual_seed(4)
    alone = config.build().state_dict()
    assert all(torch.equal(alone[name], tensor) for name, tensor in bodies.policies[0].state_dict().items())


def test_a_batch_is_taken_apart_without_its_padding(bodies):
    batch = make_batch([1, 0, 1])
    groups = {name: part for name, _, part in bodies.groups(batch)}
    assert list(groups) == ["sawyer-cell", "other"]
    assert groups["other"]["state"].shape == (2, 3)
    assert groups["other"]["actions"].shape == (2, 8, 3)
    torch.testing.assert_close(groups["other"]["images"], batch["images"][[0, 2]][:, [2, 1]])
    torch.testing.assert_close(groups["sawyer-cell"]["images"], batch["images"][[1]][:, [0, 1]])
    assert [name for name, _, _ in bodies.groups(make_batch([1, 1]))] == ["other"]


def test_what_is_padding_changes_nothing(bodies):
    batch = make_batch([1])
    changed = {name: value.clone() for name, value in batch.items()}
    changed["images"][:, 0], changed["state"][:, 3:] = 0, 99.0
    before, after = (
        policy(part["images"], part["state"], part["tokens"])
        for one in (batch, changed)
        for _, policy, part in bodies.groups(one)
    )
    assert torch.equal(before, after)


def test_a_robot_that_a_batch_lacks_has_gradients_of_zero(bodies):
    batch = make_batch([0, 0])
    for _, policy, part in bodies.groups(batch):
        loss = policy(part["images"], part["state"], part["tokens"]).square().sum() + bodies.untouched(batch)
        loss.backward()
    assert all(weight.grad is not None for weight in bodies.parameters())
    assert not bodies.policies[1].head.last.weight.grad.any()
    assert bodies.policies[0].head.middle.weight.grad.any()


def test_a_state_holds_what_is_shared_once_and_comes_back_whole(bodies, config, other_config):
    state = load(save(bodies.state_dict()))  # safetensors refuses tensors that share memory
    assert len(state) == len(list(bodies.parameters()))
    other = Bodies([config, other_config])
    other.load_state_dict(state)
    for one, found in zip(bodies.policies, other.policies, strict=True):
        assert all(torch.equal(found.state_dict()[name], tensor) for name, tensor in one.state_dict().items())
    del state["policies.0.language.positions"]
    with pytest.raises(RuntimeError, match=r"Missing key.*policies\.0\.language\.positions"):
        other.load_state_dict(state)


def test_a_copy_shares_within_itself_alone(bodies):
    """An average of the weights is such a copy."""
    copied = copy.deepcopy(bodies)
    assert copied.policies[0].language is copied.policies[1].language
    assert copied.policies[0].language is not bodies.policies[0].language
    assert set(copied.state_dict()) == set(bodies.state_dict())


def test_what_a_teacher_answers_is_as_wide_as_the_actions(bodies):
    batch = make_batch([1]) | {"teacher": torch.zeros(1, 8, 4)}
    ((name, _, part),) = groups_of(bodies, batch)
    assert (name, part["teacher"].shape) == ("other", (1, 8, 3))
    assert list(groups_of(bodies.policies[0], batch)) == [("", bodies.policies[0], batch)]


def test_each_policy_is_an_ordinary_checkpoint(bodies, other_config, transforms, tmp_path):
    chain = PolicyTransforms(OTHER, replace(transforms.state, mean=(0.0,) * 3, std=(1.0,) * 3), transforms.tokens)
    policy = bodies.policies[1].eval()
    save_policy(tmp_path, policy, other_config, chain)
    loaded, config, _ = load_policy(tmp_path)
    part = next(part for name, _, part in bodies.groups(make_batch([1])) if name == "other")
    seen = part["images"], part["state"], part["tokens"]
    assert torch.equal(loaded(*seen), policy(*seen))
    assert config.embodiment == OTHER


class Plain(nn.Module):
    """Calls trunk what differs from robot to robot."""

    adapters = Adapters(state=("state",), action=())

    def __init__(self, shape, *, blind, wordless):
        super().__init__()
        self.out = nn.Linear(3, shape.action_dim)


def test_a_trunk_that_is_not_the_same_is_named(config, other_config, monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "plain", Preset("plain", "plain:Plain"))
    monkeypatch.setattr(presets, "resolve_name", {"plain:Plain": Plain}.__getitem__)
    configs = [replace(one, preset="plain") for one in (config, other_config)]
    with pytest.raises(ContractError, match=r"tensor out.weight of the trunk is \[4, 3\] and \[3, 3\]"):
        Bodies(configs)
