"""From the features of several sources to actions."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class SumOfSources(nn.Module):
    """A linear layer over the concatenation of sources, kept as one matrix a source.

    So a source can be left out, or be another one for another robot, while the others and all that follows stay.
    `sizes`: source -> features; the weights are drawn like those of one layer over all of them.
    """

    def __init__(self, sizes: Mapping[str, int], width: int) -> None:
        super().__init__()
        whole = nn.Linear(sum(sizes.values()), width)
        # Not drawn one by one: the weights are pieces of the whole layer's.
        self.sources = nn.ModuleDict(
            {name: nn.Linear(size, width, bias=False, device="meta") for name, size in sizes.items()}
        )
        pieces = whole.weight.detach().split(list(sizes.values()), dim=1)
        for source, piece in zip(self.sources.values(), pieces, strict=True):
            source.weight = nn.Parameter(piece.clone(memory_format=torch.contiguous_format))
        self.bias = nn.Parameter(whole.bias.detach().clone())

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """{source: [B, size]} -> [B, width]."""
        total = self.bias
        for name, source in self.sources.items():
            total = total + source(features[name])
        return total


class ChunkHead(nn.Module):
    """Regresses the next `chunk` actions at once: an MLP whose last layer starts near zero (the robot stands still)."""

    def __init__(self, sizes: Mapping[str, int], chunk: int, action_dim: int, width: int = 256) -> None:
        super().__init__()
        self.chunk, self.action_dim = chunk, action_dim
        last = nn.Linear(width, chunk * action_dim)
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)
        self.first = SumOfSources(sizes, width)
        self.middle = nn.Linear(width, width)
        self.last = last

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """{source: [B, size]} -> actions float32 [B, chunk, action_dim], normalised; not cut to [-1, 1]."""
        hidden = torch.relu(self.middle(torch.relu(self.first(features))))
        return self.last(hidden).unflatten(1, (self.chunk, self.action_dim))
