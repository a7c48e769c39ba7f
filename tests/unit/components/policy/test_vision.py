from __future__ import annotations

import pytest
import torch

from components.policy.vision import CameraEncoder, FilmConv, SpatialSoftmax


def test_spatial_softmax_reports_where_the_heat_is():
    points = SpatialSoftmax(channels=1, keypoints=1, side=5)
    torch.nn.init.constant_(points.heat.weight, 100.0)
    torch.nn.init.zeros_(points.heat.bias)
    features = torch.zeros(1, 1, 5, 5)
    features[0, 0, 1, 4] = 1.0  # second row, last column
    assert points(features)[0].tolist() == pytest.approx([1.0, -0.5], abs=1e-5)


def test_uniform_heat_is_the_centre():
    points = SpatialSoftmax(channels=3, keypoints=2, side=6)
    assert points(torch.zeros(2, 3, 6, 6)).abs().max().item() < 1e-6


def test_film_of_zero_text_leaves_the_normalised_features():
    layer = FilmConv(3, 8, 3, 1, 1, text_dim=4)
    torch.nn.init.zeros_(layer.film.bias)
    features = torch.randn(2, 3, 7, 7)
    expected = torch.relu(layer.norm(layer.conv(features)))
    torch.testing.assert_close(layer(features, torch.zeros(2, 4)), expected)


def test_film_changes_what_the_layer_sees():
    layer = FilmConv(3, 8, 3, 1, 1, text_dim=4)
    features = torch.randn(1, 3, 7, 7)
    assert not torch.allclose(layer(features, torch.ones(1, 4)), layer(features, -torch.ones(1, 4)))


def test_images_are_scaled_from_bytes_to_plus_minus_one():
    encoder = CameraEncoder(96, text_dim=4)
    seen = []
    encoder.layers[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = torch.zeros(1, 96, 96, 3, dtype=torch.uint8)
    images[:, :, :, 1] = 255
    encoder(images, torch.zeros(1, 4))
    assert seen[0].shape == (1, 3, 96, 96)
    assert [seen[0][0, channel].unique().tolist() for channel in range(3)] == [[-1.0], [1.0], [-1.0]]


@pytest.mark.parametrize("image_px", [64, 96, 128])
def test_length_of_the_features_is_as_declared(image_px):
    encoder = CameraEncoder(image_px, text_dim=4)
    images = torch.randint(0, 256, (2, image_px, image_px, 3), dtype=torch.uint8)
    assert encoder(images, torch.zeros(2, 4)).shape == (2, encoder.dim)
