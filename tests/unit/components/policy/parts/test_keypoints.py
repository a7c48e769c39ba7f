from __future__ import annotations

import pytest
import torch

from components.policy.parts.keypoints import KeypointEye, SpatialSoftmax


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 4), (2, 2), (3, 1), (4, 4)])
def test_a_single_peak_gives_its_place(row, column):
    maps = torch.zeros(1, 2, 5, 5)
    maps[0, 1, row, column] = 100.0
    flat, peak = SpatialSoftmax(5)(maps)[0]
    torch.testing.assert_close(flat, torch.zeros(2), atol=1e-6, rtol=0.0)
    torch.testing.assert_close(peak, torch.tensor([column / 2.0 - 1.0, row / 2.0 - 1.0]))


def test_two_peaks_meet_in_the_middle():
    maps = torch.full((1, 1, 3, 3), -100.0)
    maps[0, 0, 0, 0] = maps[0, 0, 0, 2] = 100.0
    torch.testing.assert_close(SpatialSoftmax(3)(maps)[0, 0], torch.tensor([0.0, -1.0]))


def test_a_map_of_one_place_is_its_own_middle():
    assert SpatialSoftmax(1)(torch.ones(1, 1, 1, 1)).tolist() == [[[0.0, 0.0]]]


@pytest.mark.parametrize("px", [64, 96, 100])
def test_an_image_is_one_token(px):
    torch.manual_seed(1)
    eye = KeypointEye(px, channels=16, keypoints=4).eval()
    images = torch.randint(0, 256, (2, px, px, 3), dtype=torch.uint8)
    with torch.no_grad():
        seen = eye(images)
        assert seen.shape == (2, 1, eye.dim) == (2, 1, 8)
        torch.testing.assert_close(eye(images[:1]), seen[:1])
