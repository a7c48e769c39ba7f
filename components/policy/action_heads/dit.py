"""The diffusion transformer of GR00T N1 (NVIDIA 2025): it looks at what was seen and at its own tokens in turn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

# Width of the sines that a time is told by.
_TIME_SINES = 256
# Times are told apart to a thousandth, in training as in use.
BUCKETS = 1000

# Keys and values [B, heads, L, head width].
Memory = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class DitSize:
    """`heads` of `head_width` numbers are the width of the transformer; `out`: numbers of a token that it answers."""

    heads: int
    head_width: int
    layers: int
    out: int
    dropout: float = 0.0

    @property
    def width(self) -> int:
        return self.heads * self.head_width


def time_sines(width: int, shift: int, *, cosines_first: bool) -> Tensor:
    """[BUCKETS, width]: sines and cosines of every time, wave lengths in a geometric row from 2 pi to 2 pi · 10,000.

    `shift`: 1 where the longest is reached, 0 where the row stops one step before it.
    """
    half = width // 2
    frequencies = torch.exp(-math.log(10_000.0) * torch.arange(half, device="cpu") / (half - shift))
    angles = torch.arange(BUCKETS, device="cpu")[:, None] * frequencies
    both = (angles.cos(), angles.sin()) if cosines_first else (angles.sin(), angles.cos())
    return torch.cat(both, dim=1)


class TimeEmbedding(nn.Module):
    """The number of a bucket to a vector: sines, then two linear layers."""

    sines: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("sines", time_sines(_TIME_SINES, 1, cosines_first=True), persistent=False)
        self.layers = nn.Sequential(nn.Linear(_TIME_SINES, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, bucket: Tensor) -> Tensor:
        """int64 [N] -> [N, W]."""
        embedded: Tensor = self.layers(self.sines[bucket])
        return embedded


class AdaNorm(nn.Module):
    """A layer norm whose scale and shift follow from the time (Peebles and Xie 2023); zero weights leave it plain.

    `scale_first`: which half of the modulation is the scale.
    """

    def __init__(self, width: int, eps: float = 1e-5, *, scale_first: bool = True) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps, elementwise_affine=False)
        self.modulation = nn.Linear(width, 2 * width)
        self.scale_first = scale_first

    def forward(self, hidden: Tensor, time: Tensor) -> Tensor:
        """hidden [B, L, W]; time [B, W], or [1, W] where all have the same."""
        first, second = self.modulation(functional.silu(time)).unsqueeze(1).chunk(2, dim=2)
        scale, shift = (first, second) if self.scale_first else (second, first)
        return self.norm(hidden) * (1.0 + scale) + shift


class Attention(nn.Module):
    """Keys and values are made apart from the answer: those of an observation serve every step of the flow."""

    def __init__(self, size: DitSize) -> None:
        super().__init__()
        self.heads = size.heads
        self.query, self.key, self.value, self.out = (nn.Linear(size.width, size.width) for _ in range(4))

    def remember(self, source: Tensor) -> Memory:
        """[B, L, W] of what is looked at."""
        return self._split(self.key(source)), self._split(self.value(source))

    def forward(self, hidden: Tensor, memory: Memory, mask: Tensor | None) -> Tensor:
        """`mask`: what is added to scores, [B, 1, 1, L]."""
        query = self._split(self.query(hidden))
        mixed = functional.scaled_dot_product_attention(query, *memory, attn_mask=mask)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out

    def _split(self, projected: Tensor) -> Tensor:
        return projected.unflatten(2, (self.heads, -1)).transpose(1, 2)


class DitBlock(nn.Module):
    """Attention under an `AdaNorm`, then two linear layers under a plain norm. `crosses`: looks at the observation."""

    def __init__(self, size: DitSize, *, crosses: bool) -> None:
        super().__init__()
        width = size.width
        self.crosses = crosses
        self.norm, self.attention = AdaNorm(width), Attention(size)
        self.feed_norm = nn.LayerNorm(width, elementwise_affine=False)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Dropout(size.dropout),
            nn.Linear(4 * width, width), nn.Dropout(size.dropout),
        )  # fmt: skip
        self.dropout = nn.Dropout(size.dropout)

    def forward(self, hidden: Tensor, time: Tensor, memory: Memory | None, mask: Tensor | None) -> Tensor:
        """`memory` and `mask` of the observation, for a block that crosses."""
        normed = self.norm(hidden, time)
        looked_at = self.attention.remember(normed) if memory is None else memory
        hidden = hidden + self.dropout(self.attention(normed, looked_at, None if memory is None else mask))
        return hidden + self.feed(self.feed_norm(hidden))


class Dit(nn.Module):
    """Blocks of which the first, third, ... look at the observation and the others at the tokens themselves."""

    def __init__(self, size: DitSize) -> None:
        super().__init__()
        self.time = TimeEmbedding(size.width)
        self.blocks = nn.ModuleList(DitBlock(size, crosses=number % 2 == 0) for number in range(size.layers))
        self.norm, self.out = AdaNorm(size.width, 1e-6, scale_first=False), nn.Linear(size.width, size.out)

    def remember(self, observation: Tensor) -> list[Memory | None]:
        """[B, L, W]: what each block looks at in it, None for those that do not."""
        return [block.attention.remember(observation) if block.crosses else None for block in self.blocks]

    def forward(self, hidden: Tensor, bucket: Tensor, memory: Sequence[Memory | None], mask: Tensor) -> Tensor:
        """hidden [B, N, W], bucket int64 [B] or [1] -> [B, N, out]; `mask`: added to the scores of the observation."""
        time = self.time(bucket)
        for block, remembered in zip(self.blocks, memory, strict=True):
            hidden = block(hidden, time, remembered, mask)
        answered: Tensor = self.out(self.norm(hidden, time))
        return answered
