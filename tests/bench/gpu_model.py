"""A pre-norm Transformer over image patches, state and action queries: what the training bench fills a GPU with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.policy.attention import Attention, set_attention

CAMERAS, PX, PATCH, STATE, ACTIONS, CHUNK = 2, 224, 14, 14, 14, 50
_PATCHES = CAMERAS * (PX // PATCH) ** 2
TOKENS = 1 + _PATCHES + CHUNK


@dataclass(frozen=True)
class TrunkSize:
    """`batch`: samples of a step."""

    width: int
    heads: int
    layers: int
    batch: int


MODELS = {
    "0.1B": TrunkSize(768, 12, 14, 64),
    "0.5B": TrunkSize(1280, 20, 25, 32),
    "3B": TrunkSize(2560, 20, 38, 16),
}


class Layer(nn.Module):
    def __init__(self, size: TrunkSize) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(size.width), nn.LayerNorm(size.width)
        self.attention = Attention(size.width, size.heads)
        self.up, self.down = nn.Linear(size.width, 4 * size.width), nn.Linear(4 * size.width, size.width)

    def forward(self, tokens: Tensor) -> Tensor:
        normed = self.norm1(tokens)
        tokens = tokens + self.attention(normed, normed, normed)
        return tokens + self.down(functional.gelu(self.up(self.norm2(tokens)), approximate="tanh"))


class Trunk(nn.Module):
    def __init__(self, size: TrunkSize, attention: str) -> None:
        super().__init__()
        self.see, self.state = nn.Linear(PATCH * PATCH * 3, size.width), nn.Linear(STATE, size.width)
        self.places = nn.Parameter(torch.randn(1 + _PATCHES, size.width) * 0.02)
        self.queries = nn.Parameter(torch.randn(CHUNK, size.width) * 0.02)
        self.layers = nn.ModuleList(Layer(size) for _ in range(size.layers))
        self.norm, self.head = nn.LayerNorm(size.width), nn.Linear(size.width, ACTIONS)
        set_attention(self, attention)

    def forward(self, images: Tensor, state: Tensor) -> Tensor:
        """images uint8 [B, K, px, px, 3], state [B, S] -> [B, H, A]."""
        side = PX // PATCH
        tiles = images.unflatten(2, (side, PATCH)).unflatten(4, (side, PATCH)).transpose(3, 4)
        patches = self.see(tiles.flatten(4).flatten(1, 3).to(torch.float32) * (2.0 / 255.0) - 1.0)
        seen = torch.cat([self.state(state).unsqueeze(1), patches], dim=1) + self.places
        tokens = torch.cat([seen, self.queries.expand(len(state), -1, -1).to(seen.dtype)], dim=1)
        for layer in self.layers:
            tokens = layer(tokens)
        return self.head(self.norm(tokens[:, -CHUNK:]))


def parameters(size: TrunkSize) -> int:
    """Of all layers; what comes before and after them is small."""
    return size.layers * (12 * size.width**2 + 13 * size.width)


def flops_per_sample(size: TrunkSize) -> float:
    """Forward and backward: 6 a weight and token, and 12 a layer, width and pair of tokens in attention."""
    weights = 6 * 12 * size.width**2 * size.layers * TOKENS
    return float(weights + 12 * size.layers * size.width * TOKENS**2)
