"""The robot's state as tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class StateToken(nn.Module):
    """One token: a linear layer, or an MLP with `hidden` numbers in between."""

    def __init__(self, state_dim: int, width: int, hidden: int = 0) -> None:
        super().__init__()
        self.layers: nn.Module = nn.Linear(state_dim, width)
        if hidden:
            self.layers = nn.Sequential(nn.Linear(state_dim, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, state: Tensor) -> Tensor:
        """[B, S] -> [B, 1, W]."""
        token: Tensor = self.layers(state)
        return token.unsqueeze(1)


class StateWords(nn.Module):
    """One word a number: the state in bins, as π0.5 writes it into its prompt.

    `bins` equal ones from -`limit` to `limit`, what lies beyond in the outermost; every number and bin has a vector of
    its own, multiplied by `scale`.
    """

    def __init__(self, state_dim: int, width: int, *, bins: int = 256, limit: float = 1.0, scale: float = 1.0) -> None:
        super().__init__()
        self.bins, self.limit, self.scale = bins, limit, scale
        self.table = nn.Embedding(state_dim * bins, width)
        nn.init.normal_(self.table.weight, std=0.02)
        first = torch.arange(state_dim, device="cpu") * bins
        self.register_buffer("first", first, persistent=False)

    def forward(self, state: Tensor) -> Tensor:
        """[B, S] -> [B, S, W]."""
        words: Tensor = self.table(self.get_buffer("first") + self.bins_of(state)) * self.scale
        return words

    def bins_of(self, state: Tensor) -> Tensor:
        """int64 [B, S]: the bin of every number, from 0."""
        place = (state.float() + self.limit) * (self.bins / (2.0 * self.limit))
        return place.floor().clamp(0, self.bins - 1).long()
