"""A few convolutions instead of patches (Xiao et al. 2021): the image tokens of Octo."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.policy.parts.towers import HALF, Pixels, VisionTower

_GROUPS, _NORM_EPS, _WEIGHT_EPS = 32, 1e-6, 1e-5


class StandardConv(nn.Conv2d):
    """A convolution whose weights have mean 0 and deviation 1 in every output channel."""

    def forward(self, features: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, channels, H / stride, W / stride]."""
        deviation, mean = torch.std_mean(self.weight, dim=(1, 2, 3), keepdim=True, correction=0)
        weight = (self.weight - mean) / (deviation + _WEIGHT_EPS)
        return functional.conv2d(features, weight, self.bias, self.stride, self.padding)


class StemEye(VisionTower):
    """Four convolutions that halve, a linear embedding of every place, a projection to `width`, learned places.

    `features`: channels of the convolutions, multiples of 32; `embedding`: numbers before the projection; `history`:
    frames that there are places for, of which the first is used.
    """

    def __init__(
        self, image_px: int, width: int, *, features: Sequence[int], embedding: int = 512, history: int = 1
    ) -> None:
        super().__init__()
        self.pixels, self.dim = Pixels(image_px, HALF), width
        layers: list[nn.Module] = []
        side = image_px
        for before, channels in zip((3, *features), features, strict=False):
            norm = nn.GroupNorm(_GROUPS, channels, eps=_NORM_EPS)
            layers += [StandardConv(before, channels, 3, 2, 1), norm, nn.ReLU()]
            side = -(-side // 2)
        self.stem, self.tokens = nn.Sequential(*layers), side**2
        self.embedding, self.projection = nn.Linear(features[-1], embedding), nn.Linear(embedding, width)
        self.places = nn.Parameter(torch.randn(history, self.tokens, width) * 0.02)

    def forward(self, images: Tensor, sentence: Tensor | None = None) -> Tensor:
        seen = self.stem(self.pixels(images)).flatten(2).transpose(1, 2)
        placed: Tensor = self.projection(self.embedding(seen)) + self.places[0]
        return placed
