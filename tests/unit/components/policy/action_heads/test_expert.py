from __future__ import annotations

import dataclasses

import pytest
import torch

from components.core.spec import SAWYER_CELL
from components.policy.recipes.pi0 import PiSize, assemble
from components.policy.shape import Shape

CHUNK = 5
SIZE = PiSize(
    image_px=32, patch=16, vision_layers=1, vision_width=16, vision_feed=16, vision_heads=2,
    layers=2, width=16, feed=16, heads=2, head_width=8, expert_width=8, expert_feed=8, padded=6, steps=4, draws=2,
)  # fmt: skip
kinds = pytest.mark.parametrize("adaptive", [False, True], ids=["pi0", "pi05"])


def policy_of(adaptive: bool = False, padded: int = 6):
    torch.manual_seed(1)
    size = dataclasses.replace(SIZE, padded=padded)
    made = assemble(Shape(SAWYER_CELL, 9, 6, CHUNK), size, adaptive=adaptive).eval()
    with torch.no_grad():
        # Gates that are closed at first show nothing.
        for weight in made.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    return made


@pytest.fixture
def asked():
    generator = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (3, 2, 96, 96, 3), generator=generator, dtype=torch.uint8)
    tokens = torch.tensor([[1, 2, 3, 4, 5, 6], [7, 8, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]])
    return images, torch.randn(3, 4, generator=generator), tokens


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(3)
    mask = torch.ones(3, CHUNK)
    mask[1, 2:] = 0.0
    return {"actions": torch.rand(3, CHUNK, 4, generator=generator) * 2 - 1, "mask": mask}


def noise(numbers: int = 6) -> torch.Tensor:
    return torch.randn(3, CHUNK, numbers, generator=torch.Generator().manual_seed(4))


@kinds
def test_the_prefix_does_not_see_the_actions(adaptive, asked):
    policy = policy_of(adaptive)
    with torch.no_grad():
        context = policy.context(*asked)
        before = [one.clone() for pair in context.cache for one in pair] + [context.hidden()[0].clone()]
        policy.head.answer(context, noise())
        after = [one for pair in context.cache for one in pair] + [context.hidden()[0]]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_the_state_sees_the_prefix_and_no_action(asked):
    policy = policy_of()
    images, state, tokens = asked
    with torch.no_grad():
        context = policy.context(images, state, tokens)
        ahead = policy.head.ahead(context)
        moved = policy.head.ahead(policy.context(255 - images, state, tokens))
        grown = policy.head.expert(torch.randn(3, CHUNK, 8), ahead)[1]
    length = context.seen.shape[1]
    for layer, (keys, values) in enumerate(ahead.cache):
        assert keys.shape[2] == length + 1
        # Where the actions go on from, they leave it as it is.
        assert torch.equal(grown[layer][0][:, :, : length + 1], keys)
        assert torch.equal(grown[layer][1][:, :, : length + 1], values)
    # The first layer has not looked yet.
    assert torch.equal(ahead.cache[0][0][:, :, -1], moved.cache[0][0][:, :, -1])
    assert not torch.equal(ahead.cache[1][0][:, :, -1], moved.cache[1][0][:, :, -1])


@kinds
def test_every_action_sees_every_other_and_the_state(adaptive, asked):
    policy = policy_of(adaptive)
    images, state, tokens = asked
    time = policy.head.time(torch.full((3,), 0.5))

    def velocity(point: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return policy.head.velocity(policy.head.ahead(policy.context(images, state, tokens)), point, time)

    before, changed = velocity(noise(), state), noise()
    changed[:, -1] += 1.0
    for after in (velocity(changed, state), velocity(noise(), state + 0.7)):
        assert (after - before).abs().amax(dim=2).min() > 0


@kinds
@pytest.mark.parametrize("padded", [0, 6])
def test_a_known_field_leads_to_the_actions(adaptive, padded, asked, batch):
    policy = policy_of(adaptive, padded)
    start, actions = noise(padded or 4), torch.nn.functional.pad(batch["actions"], (0, (padded or 4) - 4))
    times = []

    def known(ahead, point, time):
        times.append(time)
        return start - actions

    policy.head.velocity = known
    with torch.no_grad():
        torch.testing.assert_close(policy(*asked, start), batch["actions"], atol=1e-5, rtol=1e-5)
    expected = policy.head.time(torch.tensor([1.0, 0.75, 0.5, 0.25]))
    torch.testing.assert_close(torch.cat(times), expected)


@kinds
def test_the_loss_is_over_the_robots_own_numbers_within_the_episode(adaptive, asked, batch):
    policy = policy_of(adaptive)
    time = torch.tensor([0.1, 0.5, 0.9])
    with torch.no_grad():
        context = policy.context(*asked)
        total, count, parts = policy.head.loss_at(context, batch, noise(), time)
        actions = torch.nn.functional.pad(batch["actions"], (0, 2))
        noisy = time[:, None, None] * noise() + (1 - time[:, None, None]) * actions
        found = policy.head.velocity(policy.head.ahead(context), noisy, policy.head.time(time))
    error = ((found - (noise() - actions)) ** 2)[..., :4] * batch["mask"].unsqueeze(2)
    assert count == batch["mask"].sum() * 4
    torch.testing.assert_close(total, error.sum())
    torch.testing.assert_close(parts["flow"], error.sum() / count)


@kinds
def test_several_draws_are_the_mean_of_each(adaptive, asked, batch):
    policy = policy_of(adaptive)
    noises, times = torch.randn(2, 3, CHUNK, 6), torch.rand(2, 3)
    with torch.no_grad():
        context = policy.context(*asked)
        each = [policy.head.loss_at(context, batch, *pair) for pair in zip(noises, times, strict=True)]
        both = policy.head.loss_at(context, batch, noises.flatten(0, 1), times.flatten())
    torch.testing.assert_close(both.total, (each[0].total + each[1].total) / 2)
    assert both.count == each[0].count == each[1].count


@kinds
def test_every_weight_has_a_gradient(adaptive, asked, batch):
    policy = policy_of(adaptive).train()
    images, state, tokens = asked
    loss = policy.training_loss({"images": images, "state": state, "tokens": tokens} | batch)
    loss.total.backward()
    missing = [name for name, weight in policy.named_parameters() if weight.grad is None]
    assert not missing
    last = policy.trunk.model.layers[-1]
    assert last.self_attn.k_proj.weight.grad.any()
    assert not last.mlp.up_proj.weight.grad.any()


def test_losses_are_drawn_anew_from_the_global_generator(asked, batch):
    policy = policy_of()
    context = policy.context(*asked)
    torch.manual_seed(5)
    one, other = (policy.head.loss(context, batch).total.item() for _ in range(2))
    torch.manual_seed(5)
    assert policy.head.loss(context, batch).total.item() == one != other


def test_answers_are_those_of_the_fixed_noise_unless_another_is_given(asked):
    policy = policy_of()
    with torch.no_grad():
        fixed = policy(*asked)
        assert torch.equal(policy(*asked), fixed)
        assert not torch.equal(policy(*asked, noise()), fixed)
    assert policy.noise.shape == (1, CHUNK, 6)
    with pytest.raises(ValueError, match="starts from noise"):
        policy.head.answer(policy.context(*asked))
