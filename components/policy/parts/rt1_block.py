"""The layer of RT-1's Transformer."""

from __future__ import annotations

from torch import Tensor, nn

from components.policy.parts.blocks import SelfAttention

_EPS = 1e-6


class Rt1Block(nn.Module):
    """Norm, attention, norm, one linear layer with no activation: so it is in the published code (`transformer.py`)."""

    def __init__(self, width: int, heads: int, key_width: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.attention_norm, self.feed_norm = nn.LayerNorm(width, eps=_EPS), nn.LayerNorm(width, eps=_EPS)
        self.attention = SelfAttention(width, heads, key_width, dropout=dropout)
        self.feed, self.dropout = nn.Linear(width, width), nn.Dropout(dropout)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """hidden [B, L, W], mask bool [B, 1, L, L] -> [B, L, W]."""
        hidden = hidden + self.attention(self.attention_norm(hidden), mask)
        return hidden + self.dropout(self.feed(self.feed_norm(hidden)))
