"""A plain pre-norm Transformer as a trunk, for the architectures that train their own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.policy.parts.masks import Rule, attention_mask
from components.policy.parts.segments import KeysValues, Segment
from components.policy.parts.trunk import Trunk


class SelfAttention(nn.Module):
    """Scaled dot-product attention (Vaswani et al. 2017); `key_width`: of one head, width / heads where it is 0.

    `rest`: whether there is one key and value more, learned, which everyone may look at; `dropout`: of the weights of
    attention.
    """

    def __init__(
        self, width: int, heads: int, key_width: int = 0, *, bias: bool = True, rest: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.heads, inner = heads, heads * (key_width or width // heads)
        self.query, self.key, self.value = (nn.Linear(width, inner, bias=bias) for _ in range(3))
        self.out = nn.Linear(inner, width, bias=bias)
        self.rest = nn.Parameter(nn.init.xavier_normal_(torch.empty(2, inner))) if rest else None

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """hidden [B, L, W], mask bool [B, 1, L, L] -> [B, L, W]."""
        query, key, value = self.query(hidden), self.key(hidden), self.value(hidden)
        if self.rest is not None:
            key, value = (
                torch.cat([made, more.expand(made.shape[0], 1, -1)], dim=1)
                for made, more in zip((key, value), self.rest, strict=True)
            )
            mask = torch.cat([mask, torch.ones_like(mask[..., :1])], dim=3)
        query, key, value = (made.unflatten(2, (self.heads, -1)).transpose(1, 2) for made in (query, key, value))
        dropped = self.dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropped)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out


class Block(nn.Module):
    """Norm, attention, norm, two linear layers; `feed`: width between them, `rest`: see `SelfAttention`."""

    def __init__(
        self,
        width: int,
        heads: int,
        feed: int,
        *,
        key_width: int = 0,
        dropout: float = 0.0,
        rest: bool = False,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.attention_norm, self.feed_norm = nn.LayerNorm(width, eps), nn.LayerNorm(width, eps)
        self.attention = SelfAttention(width, heads, key_width, rest=rest)
        self.feed = nn.Sequential(nn.Linear(width, feed), nn.GELU(), nn.Linear(feed, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        hidden = hidden + self.dropout(self.attention(self.attention_norm(hidden), mask))
        return hidden + self.dropout(self.feed(self.feed_norm(hidden)))


class BlockTrunk(Trunk):
    """`blocks` over the segments, and a norm unless there is to be none.

    `places`: tokens of each segment that has learned positions, by name; it may be given fewer than that. `positions`
    [L, W]: what is added to all tokens, whichever segment they are of; there may be fewer of them.
    """

    def __init__(
        self,
        width: int,
        blocks: Sequence[nn.Module],
        *,
        places: dict[str, int] | None = None,
        positions: Tensor | None = None,
        norm: bool = True,
    ) -> None:
        super().__init__()
        self.width = width
        self.blocks, self.norm = nn.ModuleList(blocks), nn.LayerNorm(width) if norm else nn.Identity()
        self.register_buffer("positions", positions, persistent=False)
        self.places = nn.ParameterDict(
            {name: nn.Parameter(torch.randn(count, width) * 0.02) for name, count in (places or {}).items()}
        )

    def forward(self, segments: Sequence[Segment], rules: Sequence[Rule]) -> tuple[list[Tensor], KeysValues]:
        hidden = torch.cat([self._placed(one) for one in segments], dim=1)
        if self.positions is not None:
            hidden = hidden + self.positions[: hidden.shape[1]]
        mask = attention_mask(segments, rules)
        for block in self.blocks:
            hidden = block(hidden, mask)
        hidden = self.norm(hidden)
        return list(hidden.split([one.embeds.shape[1] for one in segments], dim=1)), ()

    def _placed(self, segment: Segment) -> Tensor:
        if segment.name not in self.places:
            return segment.embeds
        return segment.embeds + self.places[segment.name][: segment.embeds.shape[1]]
