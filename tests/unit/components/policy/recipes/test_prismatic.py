"""What OpenVLA, RT-2 and OpenVLA-OFT are, beyond what every preset must be able to do."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel, SiglipVisionConfig, SiglipVisionModel

from components.core.errors import ContractError
from components.core.spec import SAWYER_CELL
from components.policy.bodies import Bodies
from components.policy.catalogue import openvla
from components.policy.catalogue.published import build_on_meta, count_published, shape_of
from components.policy.parts.segments import SLOTS, STATE, TEXT, VIEWS
from components.policy.presets import PolicyConfig, build
from components.policy.shape import Shape
from components.policy.takeover import take_over

SHAPE = Shape(SAWYER_CELL, 9, 6, 4)
OTHER = replace(
    SAWYER_CELL, name="other", action=replace(SAWYER_CELL.action, groups=SAWYER_CELL.action.groups[:1])
)  # fmt: skip


def made(preset: str, shape: Shape = SHAPE):
    torch.manual_seed(1)
    return build(preset, shape).eval()


def seen(words: tuple[int, ...] = (1, 2, 3, 0, 0, 0)):
    generator = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (2, 2, 96, 96, 3), generator=generator, dtype=torch.uint8)
    return images, torch.randn(2, 4, generator=generator), torch.tensor([words, words])


def size(model) -> int:
    return sum(weight.numel() for weight in model.parameters())


def count(preset: str) -> int:
    return size(build_on_meta(preset, shape_of(openvla.CARD.published)))


@pytest.mark.parametrize("preset", ["openvla-small", "rt2-small"])
def test_what_is_read_is_causal(preset):
    policy = made(preset)
    with torch.no_grad():
        before, after = policy.context(*seen()), policy.context(*seen((1, 4, 3, 0, 0, 0)))
    torch.testing.assert_close(after[VIEWS], before[VIEWS])
    torch.testing.assert_close(after[TEXT][:, 0], before[TEXT][:, 0])
    moved = (after[TEXT] - before[TEXT]).abs().amax(dim=(0, 2))
    assert (moved[1:3] > 1e-4).all()


@pytest.mark.parametrize("preset", ["openvla-small", "rt2-small"])
def test_every_weight_learns(preset):
    policy = made(preset)
    images, state, tokens = seen()
    batch = {"images": images, "state": state, "tokens": tokens}
    batch |= {"actions": torch.zeros(2, 4, 4), "mask": torch.ones(2, 4)}
    policy.training_loss(batch).total.backward()
    assert [name for name, weight in policy.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize("preset", ["oft-small", "oft-plus-small"])
def test_in_oft_everyone_sees_everyone(preset):
    policy = made(preset)
    with torch.no_grad():
        before, after = policy.context(*seen()), policy.context(*seen((1, 4, 3, 0, 0, 0)))
        for name in (VIEWS, STATE, SLOTS):
            assert (after[name] - before[name]).abs().max() > 1e-4, name
        # The last slot is seen by the first, and by what stands before all slots.
        policy.head.empty = torch.cat([policy.head.empty[:, :-1], torch.ones(1, 1, 192)], dim=1)
        moved = policy.context(*seen())
    for name in (VIEWS, STATE, TEXT, SLOTS):
        assert (moved[name][:, 0] - before[name][:, 0]).abs().max() > 1e-4, name


def test_oft_plus_looks_differently_for_another_instruction():
    images, _, tokens = seen()
    other = torch.where(tokens == 2, 4, tokens)
    plus, plain = made("oft-plus-small"), made("oft-small")
    with torch.no_grad():
        assert (plus._look(images, other) - plus._look(images, tokens)).abs().max() > 1e-4
        assert torch.equal(plain._look(images, other), plain._look(images, tokens))


def test_openvla_lacks_only_what_the_original_never_reads():
    """To the published number, down to what is counted differently: a mask token, a place of the class."""
    dino = {"hidden_size": 1024, "num_attention_heads": 16, "image_size": 224, "patch_size": 14}
    siglip = {"hidden_size": 1152, "num_attention_heads": 16, "image_size": 224, "patch_size": 14}
    siglip |= {"intermediate_size": 4304}
    with torch.device("meta"):
        last = size(Dinov2WithRegistersModel(Dinov2WithRegistersConfig(num_hidden_layers=1, **dino)).encoder)
        eye = SiglipVisionModel(SiglipVisionConfig(num_hidden_layers=1, **siglip))
        unread = size(eye.encoder) + size(eye.head) + size(eye.post_layernorm)
    norm = 2 * 1024
    assert count_published(openvla.CARD) + last + norm + unread == pytest.approx(7_541_237_184, abs=4096)


def test_film_is_all_that_plus_adds():
    film = 23 * 2 * (4096 * 1024 + 1024) + 26 * 2 * (4096 * 1152 + 1152)
    assert count("oft-plus") - count("oft") == film


def test_a_few_words_more_leave_the_ids_of_actions_where_they_are():
    few, more, many = (made("openvla-small", replace(SHAPE, vocab_size=size)) for size in (9, 256, 257))
    assert few.head.ids.first == more.head.ids.first == 256
    assert many.head.ids.first == 512
    report = take_over(more, SAWYER_CELL, few.state_dict(), SAWYER_CELL, more.adapters)
    assert not report.fresh
    assert not report.rows


def test_words_do_not_reach_into_the_actions():
    shape = replace(shape_of(openvla.CARD.published), vocab_size=31_745)
    with pytest.raises(ContractError, match="the dataset has 31745 words, the vocabulary has 31744 ids"):
        build_on_meta("openvla", shape)


@pytest.mark.parametrize("preset", ["openvla-small", "rt2-small"])
def test_robots_share_all_but_how_many_numbers_they_have(preset):
    bodies = Bodies([PolicyConfig(preset, body, 9, 6, 4) for body in (SAWYER_CELL, OTHER)]).eval()
    own, other = bodies.policies
    assert own.trunk is other.trunk
    assert own.head.out is other.head.out
    assert len(list(bodies.parameters())) == len(list(own.parameters()))
    images, state, tokens = seen()
    with torch.no_grad():
        assert other(images, state, tokens).shape == (2, 4, OTHER.action.dim)
        assert own(images, state, tokens).shape == (2, 4, 4)
