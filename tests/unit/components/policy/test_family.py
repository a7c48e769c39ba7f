"""What every preset must be able to do, whatever it is made of."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from components.core.errors import ContractError
from components.core.spec import SAWYER_CELL
from components.policy.catalogue.families import CARDS, PRESETS
from components.policy.catalogue.published import count_published
from components.policy.checkpoint import load_policy, save_policy
from components.policy.losses import OwnLoss
from components.policy.presets import PolicyConfig, build
from components.policy.shape import Shape
from components.transforms.chain import PolicyTransforms

# Those that a CPU trains in minutes: the last of each family.
SMALL = [card.presets[-1].name for card in CARDS]
PUBLISHED = [card.family for card in CARDS if card.published is not None]
INSTRUCTIONS = ["open the drawer", "turn the faucet on", "turn the faucet off"]
CHUNK, OVERFIT_STEPS = 4, 400


@pytest.fixture(scope="module")
def transforms() -> PolicyTransforms:
    return PolicyTransforms.fit(SAWYER_CELL, [0.0, 0.6, 0.2, 0.5], [0.1, 0.1, 0.1, 0.3], INSTRUCTIONS, text_len=6)


@pytest.fixture(scope="module")
def batch(transforms) -> dict[str, Tensor]:
    """Three windows of three tasks."""
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (3, 2, 96, 96, 3), generator=generator, dtype=torch.uint8)
    actions = torch.rand(3, CHUNK, 4, generator=generator) * 1.6 - 0.8
    mask = torch.ones(3, CHUNK)
    mask[1, 2:] = 0.0
    return {
        "images": images,
        "state": torch.randn(3, 4, generator=generator),
        "tokens": torch.from_numpy(transforms.tokens.apply(INSTRUCTIONS)),
        "actions": actions,
        "mask": mask,
    }


def config_of(preset: str, transforms: PolicyTransforms) -> PolicyConfig:
    return PolicyConfig(preset, SAWYER_CELL, transforms.vocab_size, transforms.text_len, CHUNK)


def made(preset: str, transforms: PolicyTransforms) -> nn.Module:
    torch.manual_seed(1)
    return config_of(preset, transforms).build().eval()


def asked(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: batch[name] for name in ("images", "state", "tokens")}


def loss_of(policy: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    if isinstance(policy, OwnLoss):
        loss = policy.training_loss(batch)
        return loss.total / loss.count
    error = (policy(**asked(batch)) - batch["actions"]) ** 2
    return (error * batch["mask"].unsqueeze(2)).sum() / (batch["mask"].sum() * 4)


@pytest.mark.parametrize("family", PUBLISHED)
def test_the_published_size_has_the_published_number_of_parameters(family):
    card = next(card for card in CARDS if card.family == family)
    assert count_published(card) == pytest.approx(card.published.parameters, rel=0.02)


@pytest.mark.parametrize("preset", [name for name in SMALL if name != "gripline-tiny"])
def test_the_small_size_is_one_for_a_cpu(preset, transforms):
    assert 3e6 <= sum(weight.numel() for weight in made(preset, transforms).parameters()) <= 30e6


@pytest.mark.parametrize("preset", SMALL)
def test_a_batch_is_learnt_by_heart(preset, transforms, batch):
    policy = made(preset, transforms).train()
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-3, weight_decay=0.0)

    def expected() -> float:
        """Of several draws, as some losses are drawn; those of the training go on as if it had not been asked."""
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(5)
            return float(np.mean([loss_of(policy, batch).item() for _ in range(8)]))

    before = expected()
    for step in range(OVERFIT_STEPS):
        optimizer.zero_grad()
        loss_of(policy, batch).backward()
        nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()
        if step % 20 == 19 and expected() < 0.05 * before:
            return
    assert expected() < 0.05 * before


@pytest.mark.parametrize("preset", SMALL)
def test_a_checkpoint_restores_to_identical_answers(preset, transforms, batch, tmp_path):
    policy = made(preset, transforms)
    save_policy(tmp_path, policy, config_of(preset, transforms), transforms)
    restored, _, _ = load_policy(tmp_path)
    with torch.no_grad():
        assert torch.equal(restored(**asked(batch)), policy(**asked(batch)))


@pytest.mark.parametrize("preset", SMALL)
@pytest.mark.parametrize("modality", ["images", "state", "tokens"])
def test_a_modality_that_is_missing_or_of_another_robot_is_refused(preset, modality, transforms, batch):
    policy, inputs = made(preset, transforms), asked(batch)
    with pytest.raises(ContractError, match=f"{modality} is missing"):
        policy(**inputs | {modality: None})
    with pytest.raises(ContractError, match=rf"{modality} is \[batch, "):
        policy(**inputs | {modality: inputs[modality][:, :1]})


@pytest.mark.parametrize("preset", SMALL)
def test_it_looks_at_what_it_says_that_it_needs(preset, transforms, batch):
    needs, inputs = PRESETS[preset].needs, asked(batch)
    policy = made(preset, transforms)
    # Some heads begin near zero, where nothing shows.
    with torch.no_grad():
        for weight in policy.parameters():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)) * 0.02)
        before = policy(**inputs)

        def moves(name: str, value: Tensor) -> bool:
            return not torch.equal(policy(**inputs | {name: value}), before)

        assert moves("images", 255 - inputs["images"])
        assert moves("state", inputs["state"] + 1.0) == needs.state
        assert moves("tokens", inputs["tokens"].roll(1, dims=0)) == needs.instructions


@pytest.mark.parametrize("preset", SMALL)
def test_the_controls_see_no_image_and_no_word(preset, transforms, batch):
    inputs, config = asked(batch), config_of(preset, transforms)
    for field, name, other in (
        ("blind", "images", 255 - inputs["images"]),
        ("wordless", "tokens", inputs["tokens"].roll(1, dims=0)),
    ):
        policy = dataclasses.replace(config, **{field: True}).build().eval()
        with torch.no_grad():
            assert torch.equal(policy(**inputs | {name: other}), policy(**inputs))


def test_every_family_has_a_small_size_and_a_published_one():
    for card in CARDS:
        if card.family == "gripline-tiny":
            continue
        published, small = card.presets[0], card.presets[-1]
        assert card.published is not None, card.family
        assert (published.name, small.name) == (card.family, f"{card.family}-small")


def test_a_shape_of_another_robot_builds_another_policy():
    shape = Shape(SAWYER_CELL, 9, 6, CHUNK)
    torch.manual_seed(1)
    other = build("gripline-tiny", dataclasses.replace(shape, chunk=2 * CHUNK))
    assert other.head.last.out_features == 2 * CHUNK * shape.action_dim
