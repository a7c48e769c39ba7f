from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from components.core.spec import SAWYER_CELL
from components.policy.bodies import Bodies
from components.policy.catalogue.published import build_on_meta, shape_of
from components.policy.catalogue.smolvla import CARD

STATE = SAWYER_CELL.observation.state
OTHER = replace(
    SAWYER_CELL,
    name="other",
    observation=replace(SAWYER_CELL.observation, cameras=("side",), state=(STATE[0],)),
    action=replace(SAWYER_CELL.action, groups=SAWYER_CELL.action.groups[:1]),
)


@pytest.fixture
def config(config):
    return replace(config, preset="smolvla-small")


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


def changed(policy, before, **inputs) -> list[set[str]]:
    """In which segments the values of each layer are others."""
    with torch.no_grad():
        caches = [policy.context(*one.values()).cache for one in (before, before | inputs)]
    lengths = [18, 6, 1]
    found = []
    for (_, first), (_, second) in zip(*caches, strict=True):
        parts = zip(policy.order, first.split(lengths, dim=2), second.split(lengths, dim=2), strict=True)
        found.append({name for name, one, other in parts if not torch.equal(one, other)})
    return found


def test_the_state_sees_images_and_words_and_is_not_seen_by_them(policy, observations):
    seen = dict(zip(("images", "state", "tokens"), observations, strict=True))
    assert changed(policy, seen, state=seen["state"] + 1.0) == [{"state"}] * 4
    everything = {"views", "text", "state"}
    assert changed(policy, seen, images=255 - seen["images"]) == [{"views"}, everything, everything, everything]
    rolled = changed(policy, seen, tokens=seen["tokens"].roll(1, dims=0))
    assert rolled[0] - {"state"} == {"text"}
    assert rolled[1:] == [everything] * 3


def test_every_weight_has_a_gradient(policy, batch):
    policy.train().training_loss(batch).total.backward()
    assert [name for name, weight in policy.named_parameters() if weight.grad is None] == []


def test_it_trains_in_half_precision(policy, batch):
    with torch.autocast("cpu", torch.bfloat16):
        loss = policy.training_loss(batch)
    loss.total.backward()
    assert torch.isfinite(loss.total)
    assert all(torch.isfinite(weight.grad).all() for weight in policy.parameters())


def test_two_robots_share_all_but_their_edges(config):
    own, other = Bodies([config, replace(config, embodiment=OTHER)]).policies
    assert own.trunk is other.trunk
    assert own.head.expert is other.head.expert
    assert own.head.with_time is other.head.with_time
    assert own.state is not other.state
    assert own.head.action_in is not other.head.action_in
    assert own.head.action_out is not other.head.action_out
    assert (own.head.action_out.out_features, other.head.action_out.out_features) == (4, 3)
    assert (own.noise.shape, other.noise.shape) == ((1, 8, 4), (1, 8, 3))


def test_the_published_size_has_an_expert_of_a_hundred_million_and_64_tokens_a_camera():
    policy = build_on_meta("smolvla", shape_of(CARD.published))
    assert sum(weight.numel() for weight in policy.head.parameters()) == pytest.approx(1e8, rel=0.01)
    assert policy.connector.tokens(3, policy.tower.tokens) == 3 * 64
    # Three quarters of the width of the language model.
    assert policy.head.expert.norm.weight.numel() * 4 == policy.trunk.width * 3


def test_what_is_not_built_is_what_the_whole_language_model_has_more():
    from transformers import LlamaConfig, LlamaForCausalLM

    policy = build_on_meta("smolvla", shape_of(CARD.published))
    config = policy.trunk.model.config
    whole = LlamaConfig.from_dict(config.to_dict() | {"num_hidden_layers": 16, "tie_word_embeddings": False})
    with torch.device("meta"):
        more = sum(weight.numel() for weight in LlamaForCausalLM(whole).parameters())
    built = sum(weight.numel() for weight in policy.trunk.parameters())
    assert sum(number for _, number in CARD.published.unbuilt) == more - built
