"""Our π0 with the weights of transformers' `PI0ForConditionalGeneration` gives its numbers."""

from __future__ import annotations

import pytest
import torch
from transformers.models.pi0 import PI0Config, PI0ForConditionalGeneration

from components.core.spec import SAWYER_CELL
from components.policy.recipes.pi0 import PiSize, assemble
from components.policy.recipes.pi0_names import TRANSFORMERS, to_ours, to_theirs
from components.policy.shape import Shape

CHUNK, VOCAB, PX, STEPS = 5, 20, 96, 10
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def size_of(padded: int) -> PiSize:
    return PiSize(
        image_px=PX, patch=32, vision_layers=2, vision_width=32, vision_feed=48, vision_heads=2,
        layers=3, width=32, feed=64, heads=4, head_width=8, expert_width=16, expert_feed=24, padded=padded,
        key_heads=2, steps=STEPS,
    )  # fmt: skip


def reference_of(size: PiSize) -> PI0ForConditionalGeneration:
    gemma = {"model_type": "gemma", "num_hidden_layers": size.layers, "num_attention_heads": size.heads}
    gemma |= {"num_key_value_heads": size.key_heads, "head_dim": size.head_width, "vocab_size": VOCAB}
    special = {"pad_token_id": 0, "bos_token_id": None, "eos_token_id": None}
    vision = {
        "model_type": "siglip_vision_model", "image_size": PX, "patch_size": size.patch,
        "hidden_size": size.vision_width, "intermediate_size": size.vision_feed,
        "num_hidden_layers": size.vision_layers,
        "num_attention_heads": size.vision_heads, "vision_use_head": False, "projection_dim": size.width,
    }  # fmt: skip
    text = gemma | special | {"hidden_size": size.width, "intermediate_size": size.feed}
    config = PI0Config(
        vlm_config={
            "model_type": "paligemma", "text_config": text, "vision_config": vision, "projection_dim": size.width,
            "image_token_id": VOCAB,
        },
        dit_config=gemma | special | {"hidden_size": size.expert_width, "intermediate_size": size.expert_feed},
        chunk_size=CHUNK, max_state_dim=size.padded or 4, max_action_dim=size.padded or 4, num_inference_steps=STEPS,
    )  # fmt: skip
    return PI0ForConditionalGeneration(config).eval()


class Pair:
    """Both models with the same weights, and the same observations and actions for either."""

    def __init__(self, padded: int) -> None:
        torch.manual_seed(7)
        size = size_of(padded)
        self.reference = reference_of(size)
        with torch.no_grad():
            for weight in self.reference.parameters():
                weight.add_(torch.randn_like(weight) * 0.05)
        self.ours = assemble(Shape(SAWYER_CELL, VOCAB, 6, CHUNK), size).eval()
        weights = to_ours(self.reference.state_dict(), TRANSFORMERS, self.ours.state_dict())
        self.ours.load_state_dict(weights | {"noise": self.ours.noise})
        self.images = torch.randint(0, 256, (3, 2, PX, PX, 3), dtype=torch.uint8)
        self.state, self.actions = torch.randn(3, 4), torch.rand(3, CHUNK, 4) * 2 - 1
        self.tokens = torch.randint(1, VOCAB, (3, 6))
        # One sentence without padding, one shorter, one empty.
        self.tokens[1, 4:], self.tokens[2] = 0, 0
        self.noise = torch.randn(3, CHUNK, padded or 4)
        self.time = torch.tensor([0.9, 0.35, 0.001])

    def asked(self) -> dict[str, torch.Tensor]:
        """The observation as the reference takes it: places for the images before the words."""
        places = torch.full((3, 2 * (PX // 32) ** 2), VOCAB)
        ids = torch.cat([places, self.tokens], dim=1)
        pixels = self.images.permute(0, 1, 4, 2, 3).float() / 127.5 - 1.0
        return {
            "input_ids": ids,
            "attention_mask": (ids != 0).long(),
            "pixel_values": pixels,
            "pixel_attention_mask": torch.ones(3, 2, dtype=torch.bool),
            "state": self.filled(self.state),
        }

    def filled(self, values: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(values, (0, self.noise.shape[2] - values.shape[-1]))

    def context(self):
        return self.ours.context(self.images, self.state, self.tokens)


@pytest.fixture(params=[0, 6], ids=["own widths", "padded"])
def pair(request) -> Pair:
    return Pair(request.param)


def test_the_velocity_at_a_noise_and_a_time(pair):
    with torch.no_grad():
        expected = pair.reference(**pair.asked(), noise=pair.noise, timestep=pair.time).logits
        head = pair.ours.head
        found = head.velocity(head.ahead(pair.context()), pair.noise, head.time(pair.time))
    assert expected.abs().max() > 0.05
    torch.testing.assert_close(found, expected, **CLOSE)


def test_the_training_loss_and_its_gradients():
    pair = Pair(0)
    asked = pair.asked()
    expected = pair.reference(**asked, noise=pair.noise, timestep=pair.time, actions=pair.actions).loss
    batch = {"actions": pair.actions, "mask": torch.ones(3, CHUNK)}
    total, count, parts = pair.ours.head.loss_at(pair.context(), batch, pair.noise, pair.time)
    torch.testing.assert_close(total / count, expected, **CLOSE)
    torch.testing.assert_close(parts["flow"], expected.detach(), **CLOSE)
    expected.backward()
    (total / count).backward()
    gradients = {name: weight.grad for name, weight in pair.reference.named_parameters()}
    for name, weight in pair.ours.named_parameters():
        assert weight.grad is not None, name
        # The reference leaves what nothing reads without a gradient.
        theirs = gradients[TRANSFORMERS.theirs(name)]
        torch.testing.assert_close(weight.grad, torch.zeros_like(weight) if theirs is None else theirs, **CLOSE)


def test_the_loss_of_a_padded_policy_counts_the_robots_own_numbers():
    pair = Pair(6)
    asked, actions = pair.asked(), pair.filled(pair.actions)
    with torch.no_grad():
        velocity = pair.reference(**asked, noise=pair.noise, timestep=pair.time, actions=actions).logits
        expected = (velocity - (pair.noise - actions))[..., :4].square().mean()
        batch = {"actions": pair.actions, "mask": torch.ones(3, CHUNK)}
        total, count, _ = pair.ours.head.loss_at(pair.context(), batch, pair.noise, pair.time)
    assert count == 3 * CHUNK * 4
    torch.testing.assert_close(total / count, expected, **CLOSE)


def test_the_actions_from_a_noise(pair):
    expected = pair.reference.sample_actions(**pair.asked(), noise=pair.noise)
    with torch.no_grad():
        found = pair.ours(pair.images, pair.state, pair.tokens, pair.noise)
    torch.testing.assert_close(found, expected[..., :4], **CLOSE)
    assert (found - pair.noise[..., :4]).abs().max() > 0.05


def test_the_weights_go_back_as_they_came(pair):
    theirs = to_theirs(pair.ours.state_dict(), TRANSFORMERS)
    state = pair.reference.state_dict()
    assert set(state) - set(theirs) == set(TRANSFORMERS.unread)
    assert all(torch.equal(tensor, state[name]) for name, tensor in theirs.items())
