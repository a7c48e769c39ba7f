from __future__ import annotations

import math

import pytest
import torch

from components.policy.act.latent import LatentEncoder, divergence, sample
from components.policy.act.positions import across, along
from components.policy.act.resnet import FrozenNorm, ResNet18, convolve
from components.policy.act.sizes import ActSize
from components.policy.act.transformer import EncoderLayer

SIZE = ActSize(width=32, heads=4, feed=64, latent_layers=2, latent=5, channels=8)


def test_positions_of_a_sequence():
    table = along(5, 8)
    for place in range(5):
        for pair in range(4):
            angle = place / 10000 ** (2 * pair / 8)
            assert table[place, 2 * pair].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[place, 2 * pair + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_positions_of_an_image_say_row_then_column():
    table = across(3, 4, 16).unflatten(0, (3, 4))
    assert torch.equal(table[:, :1, :8].expand(-1, 4, -1), table[:, :, :8])
    assert torch.equal(table[:1, :, 8:].expand(3, -1, -1), table[:, :, 8:])
    assert len({tuple(place.tolist()) for place in table.flatten(0, 1)}) == 12
    # One period from 1 to the number of rows.
    assert table[2, 0, 1].item() == pytest.approx(1.0, abs=1e-4)
    assert table[0, 0, 0].item() == pytest.approx(math.sin(2 * math.pi / 3), abs=1e-4)


def test_a_frozen_norm_in_the_convolution_is_one_after_it():
    torch.manual_seed(0)
    conv, norm = torch.nn.Conv2d(3, 6, 3, 2, 1, bias=False), FrozenNorm(6)
    reference = torch.nn.BatchNorm2d(6).eval()
    for name in ("weight", "bias", "running_mean", "running_var"):
        value = torch.rand(6) + 0.5
        getattr(norm, name).copy_(value)
        getattr(reference, name).data.copy_(value)
    images = torch.randn(2, 3, 9, 9)
    torch.testing.assert_close(convolve(images, conv, norm), reference(conv(images)), atol=1e-6, rtol=1e-5)
    assert not list(norm.parameters())


def test_the_resnet_is_as_large_as_the_published_one():
    eyes = ResNet18()
    # torchvision's resnet18 has 11,689,512 with its classifier and the affine weights of its norms.
    assert sum(weight.numel() for weight in eyes.parameters()) == 11_689_512 - 513_000 - 2 * 4800
    assert {"conv1.weight", "bn1.running_var", "layer2.0.downsample.0.weight", "layer4.1.bn2.bias"} <= set(
        eyes.state_dict()
    )


@pytest.mark.parametrize(("px", "side"), [(224, 7), (96, 3), (32, 1), (40, 2)])
def test_the_resnet_makes_sides_a_32nd(px, side):
    assert ResNet18(4)(torch.randn(2, 3, px, px)).shape == (2, 32, side, side)


def test_layers_of_which_only_the_first_tokens_are_read_give_those():
    torch.manual_seed(1)
    layer = EncoderLayer(SIZE).eval()
    tokens, positions = torch.randn(3, 6, 32), torch.randn(6, 32)
    hidden = torch.zeros(3, 6, dtype=torch.bool)
    hidden[1, 4:] = True
    whole = layer(tokens, positions, hidden)
    torch.testing.assert_close(layer(tokens, positions, hidden, only=2), whole[:, :2], atol=1e-6, rtol=1e-5)


def test_the_latent_does_not_depend_on_what_lies_past_the_end():
    torch.manual_seed(1)
    encoder = LatentEncoder(SIZE, state_dim=4, action_dim=3, chunk=6).eval()
    state, actions, mask = torch.randn(2, 4), torch.randn(2, 6, 3), torch.ones(2, 6)
    mask[0, 4:] = 0.0
    mean, log_variance = encoder(state, actions, mask)
    assert mean.shape == log_variance.shape == (2, 5)
    changed = actions.clone()
    changed[0, 4:] += 7.0
    torch.testing.assert_close(encoder(state, changed, mask)[0], mean, atol=1e-6, rtol=1e-5)
    changed[0, 1] += 1.0
    assert (encoder(state, changed, mask)[0] - mean)[0].abs().max() > 1e-4


def test_the_divergence_is_that_of_torch():
    mean, log_variance = torch.randn(4, 5), torch.randn(4, 5)
    found = torch.distributions.Normal(mean, (log_variance / 2).exp())
    expected = torch.distributions.kl_divergence(found, torch.distributions.Normal(torch.zeros(5), torch.ones(5)))
    torch.testing.assert_close(divergence(mean, log_variance), expected.sum(1), atol=1e-5, rtol=1e-5)
    assert divergence(torch.zeros(1, 5), torch.zeros(1, 5)).item() == 0.0


def test_samples_have_the_mean_and_the_spread():
    torch.manual_seed(3)
    drawn = sample(torch.full((20_000, 1), 2.0), torch.full((20_000, 1), 2.0 * math.log(0.5)))
    assert drawn.mean().item() == pytest.approx(2.0, abs=0.02)
    assert drawn.std().item() == pytest.approx(0.5, abs=0.02)
