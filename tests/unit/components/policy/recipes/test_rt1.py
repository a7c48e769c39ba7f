from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from components.core.spec import SAWYER_CELL
from components.policy.bodies import Bodies
from components.policy.catalogue import rt1
from components.policy.catalogue.published import build_on_meta, shape_of
from components.policy.parts.masks import attention_mask
from components.policy.parts.segments import SLOTS, VIEWS, Segment
from components.policy.presets import PolicyConfig, build

CHUNK = 2


@pytest.fixture(scope="module")
def published():
    return build_on_meta("rt1", shape_of(rt1.CARD.published))


@pytest.fixture
def small(config):
    torch.manual_seed(1)
    policy = build("rt1-small", replace(config, chunk=CHUNK).shape).eval()
    with torch.no_grad():
        for name, weight in policy.tower.named_parameters():
            if "film" in name:
                weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(2)) * 0.02)
    return policy


def count(*modules: torch.nn.Module) -> int:
    return sum(weight.numel() for module in modules for weight in module.parameters())


def test_the_parts_are_as_large_as_published(published):
    """Section 5.1 of the paper: 16 M, 34 K and 19 M."""
    connector = published.connector
    assert count(published.tower) == pytest.approx(16e6, rel=0.02)
    assert count(connector.norm, connector.scores) == pytest.approx(34e3, rel=0.02)
    assert count(connector.project, published.trunk, published.head) == pytest.approx(19e6, rel=0.02)


def test_the_published_sizes(published):
    """Section 5.1 of the paper and `configs/transformer_mixin.gin` of its code."""
    block = published.trunk.blocks[0]
    assert len(published.tower.films) == 26
    assert published.tower.pixels.px == 300
    assert published.tower.reduce.weight.shape == (512, 1536, 1, 1)
    assert {film.scale.in_features for film in published.tower.films} == {512}
    assert published.connector.count == 8
    assert published.connector.scores[0].out_features == 64
    assert published.trunk.places[VIEWS].shape == (48, 512)
    assert len(published.trunk.blocks) == 8
    assert (block.attention.heads, block.attention.query.out_features) == (8, 8 * 128)
    assert (block.feed.in_features, block.feed.out_features) == (512, 512)
    assert block.dropout.p == block.attention.dropout == 0.1
    assert isinstance(published.trunk.norm, torch.nn.Identity)
    assert published.head.scores.weight.shape == (256, 512)


def published_mask(frames: int, image_tokens: int, action_tokens: int) -> torch.Tensor:
    """bool [L, L] by the rule of the published code: causal, less every pair of action tokens."""
    length = frames * (image_tokens + action_tokens)
    place = torch.arange(length)
    action = place % (image_tokens + action_tokens) >= image_tokens
    return (place[:, None] >= place[None, :]) & ~(action[:, None] & action[None, :])


def test_the_mask_is_the_published_one_for_the_frame_that_acts(published):
    frames, numbers = 6, 11
    ours = attention_mask(
        [Segment.whole(VIEWS, torch.zeros(1, 8 * frames, 4)), Segment.whole(SLOTS, torch.zeros(1, numbers, 4))],
        published.rules,
    )[0, 0]
    theirs = published_mask(frames, 8, numbers)
    # Action tokens of the frames before are not among ours.
    place = torch.arange(len(theirs))
    kept = theirs[:, (place % (8 + numbers) < 8) | (place >= (frames - 1) * (8 + numbers))]
    kept = kept[(place % (8 + numbers) < 8) | (place >= (frames - 1) * (8 + numbers))]
    # Theirs does not see itself either; its own zeros are all that it would see there.
    itself = torch.zeros_like(ours)
    itself[8 * frames :, 8 * frames :] = torch.eye(numbers, dtype=torch.bool)
    assert torch.equal(ours, kept | itself)


def test_slots_cannot_see_one_another(small, observations):
    images, state, tokens = observations
    empty = small.head.slot_tokens(3).detach().clone().requires_grad_()
    small.head.slot_tokens = lambda batch: empty
    logits = small.head.logits(small.context(images, state, tokens)).flatten(1, 2)
    (gradient,) = torch.autograd.grad(logits[:, 5].square().sum(), empty)
    others = [number for number in range(small.head.slots) if number != 5]
    assert (gradient[:, 5].abs().sum(dim=1) > 0.0).all()
    assert torch.equal(gradient[:, others], torch.zeros_like(gradient[:, others]))
    moved = empty.detach().clone()
    moved[:, 5] += 1.0
    small.head.slot_tokens = lambda batch: moved
    with torch.no_grad():
        after = small.head.logits(small.context(images, state, tokens)).flatten(1, 2)
    assert torch.equal(after[:, others], logits[:, others])
    assert not torch.equal(after[:, 5], logits[:, 5])


@torch.no_grad()
def test_an_earlier_view_does_not_see_a_later_one_and_the_actions_see_both(small, observations):
    images, state, tokens = observations
    for view, unchanged in ((0, 0), (1, 8)):
        other = images.clone()
        other[:, view] = 255 - other[:, view]
        before, after = small.context(images, state, tokens), small.context(other, state, tokens)
        assert torch.equal(before[VIEWS][:, :unchanged], after[VIEWS][:, :unchanged])
        assert (before[VIEWS][:, 8:] != after[VIEWS][:, 8:]).any(dim=2).all()
        assert (before[SLOTS] != after[SLOTS]).any(dim=2).all()


@torch.no_grad()
def test_the_instruction_reaches_the_features_of_every_view(small, observations):
    images, state, tokens = observations
    before, after = (small.context(images, state, words)[VIEWS] for words in (tokens, tokens.roll(1, dims=0)))
    assert (before != after).any(dim=2).all()


def test_robots_share_all_but_the_places_of_their_numbers(config):
    arm = replace(SAWYER_CELL.action, groups=SAWYER_CELL.action.groups[:1])
    seen = replace(SAWYER_CELL.observation, cameras=("side",))
    other = replace(SAWYER_CELL, name="other", observation=seen, action=arm)
    configs = [
        PolicyConfig("rt1-small", body, config.vocab_size, config.text_len, CHUNK) for body in (SAWYER_CELL, other)
    ]
    bodies = Bodies(configs)
    first, second = bodies.policies
    assert first.tower is second.tower
    assert first.head.scores is second.head.scores
    own = {name for name, weight in second.named_parameters() if weight is not first.get_parameter(name)}
    assert own == {"head.places"}
    images = torch.zeros(2, 1, 96, 96, 3, dtype=torch.uint8)
    answer = second(images, torch.zeros(2, 4), torch.ones(2, config.text_len, dtype=torch.int64))
    assert answer.shape == (2, CHUNK, arm.dim)
