"""Encoder and decoder layers as in DETR: normalised after each part, positions added to queries and keys only."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from components.policy.act.sizes import ActSize
from components.policy.attention import Attention
from components.policy.dense import Dense


class FeedForward(nn.Module):
    def __init__(self, size: ActSize) -> None:
        super().__init__()
        self.up, self.down = Dense(size.width, size.feed), Dense(size.feed, size.width)
        self.drop = nn.Dropout(size.dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, L, D] -> [B, L, D]."""
        return self.down(self.drop(functional.relu(self.up(tokens), inplace=True)))


class EncoderLayer(nn.Module):
    def __init__(self, size: ActSize) -> None:
        super().__init__()
        self.attention = Attention(size.width, size.heads, size.dropout)
        self.feed = FeedForward(size)
        self.norm1, self.norm2 = nn.LayerNorm(size.width), nn.LayerNorm(size.width)
        self.drop = nn.Dropout(size.dropout)

    def forward(
        self, tokens: Tensor, positions: Tensor, hidden: Tensor | None = None, only: int | None = None
    ) -> Tensor:
        """tokens [B, L, D], positions [L, D], hidden bool [B, L] -> [B, L, D].

        `only`: so many tokens of the beginning come out; the others are looked at, and not worked on.
        """
        placed, kept = tokens + positions, tokens[:, :only]
        kept = self.norm1(kept + self.drop(self.attention(placed[:, :only], placed, tokens, hidden)))
        return self.norm2(kept + self.drop(self.feed(kept)))


class DecoderLayer(nn.Module):
    def __init__(self, size: ActSize) -> None:
        super().__init__()
        self.attention = Attention(size.width, size.heads, size.dropout)
        self.look = Attention(size.width, size.heads, size.dropout)
        self.feed = FeedForward(size)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(size.width) for _ in range(3))
        self.drop = nn.Dropout(size.dropout)

    def forward(self, tokens: Tensor, positions: Tensor, seen: Tensor, seen_positions: Tensor) -> Tensor:
        """tokens [B, H, D] and their positions [H, D], what is looked at [B, L, D] and [L, D] -> [B, H, D]."""
        placed = tokens + positions
        tokens = self.norm1(tokens + self.drop(self.attention(placed, placed, tokens)))
        tokens = self.norm2(tokens + self.drop(self.look(tokens + positions, seen + seen_positions, seen)))
        return self.norm3(tokens + self.drop(self.feed(tokens)))


def begin(module: nn.Module) -> None:
    """Xavier-uniform weights, as DETR begins with."""
    for part in module.modules():
        if isinstance(part, Attention):
            nn.init.xavier_uniform_(part.out.weight)
        elif isinstance(part, FeedForward):
            nn.init.xavier_uniform_(part.up.weight)
            nn.init.xavier_uniform_(part.down.weight)
