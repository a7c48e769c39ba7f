from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from components.core.spec import SAWYER_CELL
from components.policy.bodies import Bodies
from components.policy.catalogue.octo import CARD
from components.policy.catalogue.published import build_on_meta, shape_of
from components.policy.parts.policy import VlaPolicy
from components.policy.parts.segments import SLOTS, TEXT, VIEWS, Context
from components.policy.presets import PolicyConfig

EMPTY_WORDS = 2


@pytest.fixture(scope="module")
def policy() -> VlaPolicy:
    torch.manual_seed(1)
    return PolicyConfig("octo-small", SAWYER_CELL, 9, 6, chunk=4).build().eval()


def observation() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(1, 9, (2, 6), generator=generator)
    tokens[:, 6 - EMPTY_WORDS :] = 0
    images = torch.randint(0, 256, (2, 2, 96, 96, 3), generator=generator, dtype=torch.uint8)
    return images, torch.randn(2, 4, generator=generator), tokens


def test_nothing_reads_the_readout(policy):
    with torch.no_grad():
        before = policy.context(*observation())
        kept = policy.trunk.places[SLOTS].clone()
        policy.trunk.places[SLOTS].add_(3.0)
        after = policy.context(*observation())
        policy.trunk.places[SLOTS].copy_(kept)
    for name in (TEXT, VIEWS):
        assert torch.equal(before[name], after[name])
    assert not torch.equal(before[SLOTS], after[SLOTS])


def test_no_gradient_goes_from_what_is_read_to_the_readout(policy):
    place = policy.trunk.places[SLOTS]
    context = policy.context(*observation())
    # Not plain sums: those of what a norm has made are the same whatever goes in.
    read = context[TEXT].square()[..., 0].sum() + context[VIEWS].square()[..., 0].sum()
    (outward,) = torch.autograd.grad(read, place, retain_graph=True)
    assert not outward.any()
    (own,) = torch.autograd.grad(context[SLOTS].square()[..., 0].sum(), place)
    assert own.any()


def test_the_readout_reads_every_image_token_and_every_word(policy, monkeypatch):
    parts = {}
    whole = type(policy.trunk).forward

    def watched(trunk, segments, rules):
        for one in segments:
            one.embeds.requires_grad_(True)
            one.embeds.retain_grad()
            parts[one.name] = one
        return whole(trunk, segments, rules)

    monkeypatch.setattr(type(policy.trunk), "forward", watched)
    context: Context = policy.context(*observation())
    context[SLOTS][..., 0].sum().backward()
    assert parts[VIEWS].embeds.grad.abs().sum(2).all()
    read = parts[TEXT].embeds.grad.abs().sum(2) > 0
    assert torch.equal(read, parts[TEXT].seen)
    assert not read[:, -EMPTY_WORDS:].any()
    policy.zero_grad()


def test_words_do_not_see_images(policy):
    images, state, tokens = observation()
    with torch.no_grad():
        before, after = (policy.context(seen, state, tokens) for seen in (images, 255 - images))
    assert torch.equal(before[TEXT], after[TEXT])
    assert not torch.equal(before[VIEWS], after[VIEWS])


def test_an_answer_asks_the_trunk_once(policy):
    calls = []
    handle = policy.trunk.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        policy(*observation())
    handle.remove()
    assert len(calls) == 1


def test_robots_share_all_but_what_is_as_wide_as_their_actions():
    other = replace(
        SAWYER_CELL,
        name="other",
        observation=replace(SAWYER_CELL.observation, cameras=("side", "wrist")),
        action=replace(SAWYER_CELL.action, groups=SAWYER_CELL.action.groups[:1]),
    )
    configs = [PolicyConfig("octo-small", body, 9, 6, chunk=4) for body in (SAWYER_CELL, other)]
    own, another = Bodies(configs).policies
    assert own.trunk is another.trunk
    assert own.tower.eyes["camera_wrist"] is another.tower.eyes["camera_wrist"]
    assert own.head.blocks is another.head.blocks
    assert own.head.last is not another.head.last
    assert another(*observation()).shape == (2, 4, 3)


@pytest.mark.parametrize(("preset", "width", "parameters"), [("octo", 768, 93e6), ("octo-27m", 384, 27e6)])
def test_the_published_sizes_are_as_published_where_the_wrist_camera_is(preset, width, parameters):
    """It has 128 pixels there: 64 places, for each of ten frames, where it has 256 here."""
    policy = build_on_meta(preset, shape_of(CARD.published))
    counted = sum(w.numel() for name, w in policy.named_parameters() if not name.startswith("words.encoder."))
    assert counted - 10 * (256 - 64) * width == pytest.approx(parameters, rel=0.003)
