"""What a camera shows, as a short vector: where things are (spatial softmax) and whether they are there (max-pool)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

# (output channels, kernel, stride, padding). Strided early: the second and third layer run on 24 and 12 pixels.
_LAYERS = ((32, 8, 4, 2), (48, 3, 2, 1), (48, 3, 1, 1))


class FilmConv(nn.Module):
    """Convolution, GroupNorm(1), then a scale and a shift per channel that the instruction decides (FiLM), ReLU."""

    def __init__(self, channels_in: int, channels: int, kernel: int, stride: int, padding: int, text_dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, kernel, stride, padding)
        # FiLM brings the scale and shift that the norm leaves out.
        self.norm = nn.GroupNorm(1, channels, affine=False)
        self.film = nn.Linear(text_dim, 2 * channels)

    def forward(self, features: Tensor, text: Tensor) -> Tensor:
        """features [B, C, H, W], text [B, text_dim] -> [B, channels, H', W']."""
        scale, shift = self.film(text)[:, :, None, None].chunk(2, dim=1)
        return functional.relu(self.norm(self.conv(features)) * (1.0 + scale) + shift)


class SpatialSoftmax(nn.Module):
    """Expected position of each of `keypoints` heat maps, in [-1, 1] (x to the right, y down)."""

    grid: Tensor

    def __init__(self, channels: int, keypoints: int, side: int) -> None:
        super().__init__()
        self.heat = nn.Conv2d(channels, keypoints, 1)
        axis = torch.linspace(-1.0, 1.0, side)
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        self.register_buffer("grid", torch.stack([x.flatten(), y.flatten()], dim=1), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """features [B, C, side, side] -> [B, 2 * keypoints]."""
        weights = functional.softmax(self.heat(features).flatten(2), dim=2)
        return torch.matmul(weights, self.grid).flatten(1)


class CameraEncoder(nn.Module):
    """One camera's CNN. `image_px`: height and width of its images; `dim`: length of what comes out."""

    def __init__(self, image_px: int, text_dim: int, keypoints: int = 32) -> None:
        super().__init__()
        layers, channels, side = [], 3, image_px
        for width, kernel, stride, padding in _LAYERS:
            layers.append(FilmConv(channels, width, kernel, stride, padding, text_dim))
            channels, side = width, (side + 2 * padding - kernel) // stride + 1
        self.layers = nn.ModuleList(layers)
        self.points = SpatialSoftmax(channels, keypoints, side)
        self.dim = 2 * keypoints + channels

    def forward(self, images: Tensor, text: Tensor) -> Tensor:
        """images uint8 [B, px, px, 3], text [B, text_dim] -> [B, dim]."""
        # A permuted view of [B, H, W, C] is channels_last already: the fast layout, without a copy.
        features = images.permute(0, 3, 1, 2).to(torch.float32).mul_(2.0 / 255.0).sub_(1.0)
        for layer in self.layers:
            features = layer(features, text)
        return torch.cat([self.points(features), features.flatten(2).amax(dim=2)], dim=1)
