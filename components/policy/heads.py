"""From features to actions."""

from __future__ import annotations

from torch import Tensor, nn


class ChunkHead(nn.Module):
    """Regresses the next `chunk` actions at once: an MLP whose last layer starts near zero (the robot stands still)."""

    def __init__(self, features: int, chunk: int, action_dim: int, width: int = 256) -> None:
        super().__init__()
        self.chunk, self.action_dim = chunk, action_dim
        last = nn.Linear(width, chunk * action_dim)
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)
        self.mlp = nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), last)

    def forward(self, features: Tensor) -> Tensor:
        """features [B, F] -> actions float32 [B, chunk, action_dim], normalised; not cut to [-1, 1]."""
        return self.mlp(features).unflatten(1, (self.chunk, self.action_dim))
