"""Rotary places (Su et al. 2021), as Llama turns the two halves of a head's numbers against each other."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Cosines and sines, [B, L, head width], or [L, head width] where all rows have the same places.
Turns = tuple[Tensor, Tensor]


class Rotary(nn.Module):
    """`theta`: the longest wave is 2 pi times that."""

    frequencies: Tensor

    def __init__(self, head_width: int, theta: float) -> None:
        super().__init__()
        exponents = torch.arange(0, head_width, 2, dtype=torch.float32, device="cpu") / head_width
        self.register_buffer("frequencies", theta**-exponents, persistent=False)

    def forward(self, places: Tensor) -> Turns:
        """int64 [B, L] or [L]; the angles are the same for every head."""
        angles = places[..., None].to(self.frequencies.dtype) * self.frequencies
        both = torch.cat([angles, angles], dim=-1)
        return both.cos(), both.sin()


def turned(values: Tensor, turns: Turns) -> Tensor:
    """[B, heads, L, head width], each token by its own angles."""
    cosines, sines = turns[0].unsqueeze(-3), turns[1].unsqueeze(-3)
    first, second = values.chunk(2, dim=-1)
    return values * cosines + torch.cat([-second, first], dim=-1) * sines
