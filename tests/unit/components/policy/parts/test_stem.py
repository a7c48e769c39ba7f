from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from components.policy.parts.stem import StandardConv, StemEye


def conv() -> StandardConv:
    torch.manual_seed(1)
    return StandardConv(3, 8, 3, 2, 1)


def test_weights_are_used_with_mean_0_and_deviation_1():
    made, images = conv(), torch.randn(2, 3, 8, 8)
    weight = made.weight.detach().numpy()
    mean, deviation = weight.mean((1, 2, 3), keepdims=True), weight.std((1, 2, 3), keepdims=True)
    standard = torch.from_numpy((weight - mean) / (deviation + 1e-5))
    expected = functional.conv2d(images, standard, made.bias, stride=2, padding=1)
    torch.testing.assert_close(made(images), expected)


def test_what_all_weights_of_a_channel_share_does_not_matter():
    made, images = conv(), torch.randn(2, 3, 8, 8)
    before = made(images)
    with torch.no_grad():
        made.weight.mul_(torch.rand(8, 1, 1, 1) + 0.5).add_(torch.randn(8, 1, 1, 1))
    torch.testing.assert_close(made(images), before, atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize(("px", "tokens"), [(32, 4), (96, 36), (100, 49), (256, 256)])
def test_four_convolutions_halve_four_times(px, tokens):
    with torch.device("meta"):
        eye = StemEye(px, 24, features=(32, 32, 64, 64), embedding=16, history=3)
    assert (eye.tokens, tuple(eye.places.shape)) == (tokens, (3, tokens, 24))


def test_a_token_is_where_its_place_in_the_image_is():
    torch.manual_seed(1)
    eye = StemEye(64, 24, features=(32, 32, 64, 64), embedding=16).eval()
    images = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    with torch.no_grad():
        flat = eye(images)
        eye.places[0, 5] += 1.0
        torch.testing.assert_close((eye(images) - flat).sum(2)[0], 24.0 * functional.one_hot(torch.tensor(5), 16))
