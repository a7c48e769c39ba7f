from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from components.core.spec import SAWYER_CELL
from components.policy.bodies import Bodies
from components.policy.catalogue.gr00t import CARD
from components.policy.catalogue.published import build_on_meta, shape_of
from components.policy.parts.segments import TEXT, VIEWS

STATE = SAWYER_CELL.observation.state
OTHER = replace(
    SAWYER_CELL,
    name="other",
    observation=replace(SAWYER_CELL.observation, cameras=("side",), state=(STATE[0],)),
    action=replace(SAWYER_CELL.action, groups=SAWYER_CELL.action.groups[:1]),
)


@pytest.fixture
def config(config):
    return replace(config, preset="gr00t-small")


@pytest.fixture
def policy(config):
    torch.manual_seed(1)
    return config.build().eval()


@pytest.fixture
def batch(observations):
    images, state, tokens = observations
    generator = torch.Generator().manual_seed(2)
    actions = torch.randn(3, 8, 4, generator=generator)
    return {"images": images, "state": state, "tokens": tokens, "actions": actions, "mask": torch.ones(3, 8)}


def test_every_weight_has_a_gradient(policy, batch):
    policy.train().training_loss(batch).total.backward()
    assert [name for name, weight in policy.named_parameters() if weight.grad is None] == []


def test_it_trains_in_half_precision(policy, batch):
    with torch.autocast("cpu", torch.bfloat16):
        loss = policy.training_loss(batch)
    loss.total.backward()
    assert torch.isfinite(loss.total)
    assert all(torch.isfinite(weight.grad).all() for weight in policy.parameters())


def test_the_language_model_reads_images_first_and_causally(policy, observations):
    images, state, tokens = observations
    with torch.no_grad():
        before = policy.context(images, state, tokens)
        after = policy.context(images, state, tokens.roll(1, dims=0))
    assert before[VIEWS].shape == (3, 2 * 9, 192)
    assert torch.equal(before[VIEWS], after[VIEWS])
    assert not torch.equal(before[TEXT], after[TEXT])


def test_two_robots_share_all_but_their_edges(config):
    own, other = Bodies([config, replace(config, embodiment=OTHER)]).policies
    assert own.trunk is other.trunk
    assert own.head.dit is other.head.dit
    assert own.head.read is other.head.read
    assert own.head.places is other.head.places
    for edge in ("state_encoder", "action_encoder", "action_decoder"):
        assert getattr(own.head, edge) is not getattr(other.head, edge)
    assert (own.head.state_encoder[0].in_features, other.head.state_encoder[0].in_features) == (4, 3)
    assert (own.noise.shape, other.noise.shape) == ((1, 8, 4), (1, 8, 3))


def test_images_of_any_size_are_whole_tokens(config, observations):
    small = replace(SAWYER_CELL, observation=replace(SAWYER_CELL.observation, image_px=75))
    policy = replace(config, embodiment=small).build().eval()
    _, state, tokens = observations
    assert policy(torch.zeros(3, 2, 75, 75, 3, dtype=torch.uint8), state, tokens).shape == (3, 8, 4)


def test_what_the_published_count_has_for_other_robots_is_what_one_robot_has():
    policy = build_on_meta("gr00t", shape_of(CARD.published))
    edges = sum(weight.numel() for name, weight in policy.named_parameters() if policy.adapters.edge_of(name))
    assert CARD.published.unbuilt == (("state and action layers of 31 more robots", 31 * edges),)


def test_the_vision_language_model_is_as_large_as_published():
    policy = build_on_meta("gr00t", shape_of(CARD.published))
    parts = (policy.tower, policy.connector, policy.trunk, policy.head.read)
    assert sum(weight.numel() for part in parts for weight in part.parameters()) == pytest.approx(1.34e9, rel=0.005)
