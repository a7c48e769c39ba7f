"""A camera as the places of a few things in its image (Finn et al. 2016), as in Diffusion Policy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from components.policy.act.resnet import ResNet18, group_norm
from components.policy.parts.towers import IMAGENET, Pixels, VisionTower

# By how much the ResNet makes a side smaller.
_STRIDE = 32


class SpatialSoftmax(nn.Module):
    """The expected place of each channel of a map, x then y, from -1 (left, top) to 1; `side`: of the map."""

    places: Tensor

    def __init__(self, side: int) -> None:
        super().__init__()
        line = torch.linspace(-1.0, 1.0, side, device="cpu") if side > 1 else torch.zeros(1, device="cpu")
        down, right = torch.meshgrid(line, line, indexing="ij")
        self.register_buffer("places", torch.stack([right, down], dim=2).flatten(0, 1), persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        """[N, C, side, side] -> [N, C, 2]."""
        return maps.flatten(2).softmax(dim=2) @ self.places


class KeypointEye(VisionTower):
    """ResNet-18 with group norm, one map a keypoint, their places through a linear layer: one token an image."""

    tokens = 1

    def __init__(self, image_px: int, *, channels: int = 64, keypoints: int = 32) -> None:
        super().__init__()
        self.dim = 2 * keypoints
        self.pixels, self.resnet = Pixels(image_px, IMAGENET), ResNet18(channels, group_norm)
        self.maps = nn.Conv2d(self.resnet.dim, keypoints, 1)
        self.softmax, self.out = SpatialSoftmax(-(-image_px // _STRIDE)), nn.Linear(self.dim, self.dim)

    def forward(self, images: Tensor, sentence: Tensor | None = None) -> Tensor:
        places = self.softmax(self.maps(self.resnet(self.pixels(images))))
        return torch.relu(self.out(places.flatten(1))).unsqueeze(1)
