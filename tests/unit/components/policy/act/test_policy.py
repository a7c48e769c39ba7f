from __future__ import annotations

import dataclasses

import pytest
import torch

from components.core.spec import SAWYER_CELL, ActionGroup, ActionSpec, Embodiment, ObservationSpec, StateGroup
from components.policy.act.policy import ActPolicy
from components.policy.act.sizes import ActSize
from components.policy.attention import set_attention
from components.policy.losses import OwnLoss
from components.policy.presets import build
from components.policy.shape import Shape

TINY = ActSize(width=32, heads=4, feed=64, encoder_layers=2, latent_layers=2, latent=4, channels=8)
CHUNK = 5


def make(*, blind: bool = False, size: ActSize = TINY) -> ActPolicy:
    torch.manual_seed(1)
    return ActPolicy(Shape(SAWYER_CELL, 9, 6, CHUNK), size, blind=blind)


@pytest.fixture
def batch(observations):
    images, state, tokens = observations
    actions, mask = torch.randn(3, CHUNK, 4, generator=torch.Generator().manual_seed(5)), torch.ones(3, CHUNK)
    mask[1, 3:] = 0.0
    return {"images": images, "state": state, "tokens": tokens, "actions": actions, "mask": mask}


def two_arms() -> Embodiment:
    names = tuple(f"joint_{number}" for number in range(14))
    low, high = (-1.0,) * 14, (1.0,) * 14
    return Embodiment(
        "arms",
        ObservationSpec(("cam0", "cam1"), 224, (StateGroup("arms", names, "rad", "state"),)),
        ActionSpec((ActionGroup("arms", names, "rad", "joint", "absolute", low, high),), 50.0, "joint position"),
    )


@pytest.mark.parametrize(("preset", "least", "most"), [("act", 51.6e6 * 0.98, 51.6e6 * 1.02), ("act-small", 3e6, 8e6)])
def test_how_large_the_presets_are(preset, least, most):
    policy = build(preset, Shape(two_arms(), 9, 6, 50))
    assert least <= sum(weight.numel() for weight in policy.parameters()) <= most


def test_sees_images_and_state_and_no_instruction(observations):
    policy = make().eval()
    images, state, tokens = observations
    before = policy(images, state, tokens)
    assert before.shape == (3, CHUNK, 4)
    assert torch.equal(policy(images, state, tokens.roll(1, dims=0)), before)
    for changed in ((255 - images, state), (images, state + 1.0), (images.flip(0), state)):
        assert (policy(*changed, tokens) - before).abs().max().item() > 1e-6


def test_cameras_are_told_apart_by_what_they_show_alone(observations):
    # As published: the places of all cameras have the same codes.
    policy = make().eval()
    images, state, tokens = observations
    torch.testing.assert_close(policy(images.flip(1), state, tokens), policy(images, state, tokens))


def test_a_blind_policy_sees_the_state_alone(observations):
    policy = make(blind=True).eval()
    images, state, tokens = observations
    before = policy(images, state, tokens)
    assert torch.equal(policy(255 - images, state, tokens), before)
    assert not torch.equal(policy(images, state + 1.0, tokens), before)


def test_rows_of_a_batch_do_not_mix(observations):
    policy = make().eval()
    alone = torch.cat([policy(*(part[row : row + 1] for part in observations)) for row in range(3)])
    torch.testing.assert_close(policy(*observations), alone, atol=1e-5, rtol=1e-4)


def test_acts_with_a_latent_of_zero(observations):
    policy = make().eval()
    images, state, _ = observations
    zero = torch.zeros(3, TINY.latent)
    assert torch.equal(policy(*observations), policy.decode(images, state, zero))
    assert not torch.equal(policy(*observations), policy.decode(images, state, zero + 1.0))


def test_the_loss_is_mean_error_and_divergence(batch):
    policy = make(size=dataclasses.replace(TINY, dropout=0.0)).train()
    assert isinstance(policy, OwnLoss)
    torch.manual_seed(7)
    with torch.no_grad():
        total, count, parts = policy.training_loss(batch)
    assert count.item() == 13 * 4
    assert float(total / count) == pytest.approx(float(parts["l1"] + 10.0 * parts["kl"]), rel=1e-5)
    torch.manual_seed(7)
    with torch.no_grad():
        mean, log_variance = policy.latent_encoder(batch["state"], batch["actions"], batch["mask"])
        latent = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        predicted = policy.decode(batch["images"], batch["state"], latent)
    errors = (predicted - batch["actions"]).abs()[batch["mask"] > 0]
    assert float(parts["l1"]) == pytest.approx(float(errors.mean()), rel=1e-5)


def test_a_window_counts_by_its_weight(batch):
    policy = make(size=dataclasses.replace(TINY, dropout=0.0)).train()

    def loss(*weights: float) -> float:
        torch.manual_seed(7)
        with torch.no_grad():
            total, count, _ = policy.training_loss(batch | {"weight": torch.tensor(weights)})
        return float(total / count)

    parts = [loss(1.0, 0.0, 0.0), loss(0.0, 1.0, 0.0), loss(0.0, 0.0, 1.0)]
    assert min(parts) > 0.0
    assert loss(2.0, 0.5, 0.0) == pytest.approx(2.0 * parts[0] + 0.5 * parts[1], rel=1e-4)


def test_every_weight_takes_part_in_training(batch):
    policy = make().train()
    policy.training_loss(batch).total.backward()
    idle = {name for name, weight in policy.named_parameters() if weight.grad is None or not weight.grad.abs().sum()}
    # Tokens of the first decoder layer are zeros, as published: of its own attention the biases are what counts.
    assert {name for name in idle if not name.startswith("decoder.0.attention.")} <= {"decoder.0.norm1.weight"}
    assert "decoder.0.attention.value.bias" not in idle


@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
def test_learns_a_few_windows_by_heart(batch, kernel):
    policy = make(size=dataclasses.replace(TINY, dropout=0.0)).train()
    set_attention(policy, kernel)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=3e-3)
    errors = []
    for _ in range(200):
        total, count, parts = policy.training_loss(batch)
        optimizer.zero_grad()
        (total / count).backward()
        optimizer.step()
        errors.append(parts["l1"].item())
    assert errors[-1] < 0.5 * errors[0]
    seen = batch["mask"] > 0
    answer = policy.eval()(batch["images"], batch["state"], batch["tokens"])
    assert float((answer - batch["actions"]).abs()[seen].mean().detach()) < 0.5 * errors[0]


def test_the_kernel_changes_no_answer(observations):
    policy = make().eval()
    with torch.no_grad():
        before = policy(*observations)
        set_attention(policy, "eager")
        torch.testing.assert_close(policy(*observations), before, atol=1e-5, rtol=0)
