"""Any number of features to a fixed number of tokens: learned queries that look at all of them.

The perceiver's idea (Jaegle et al. 2021), in the form in which HPT uses it for every sense (Wang et al. 2024): one
attention, no norm, no way around it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.policy.parts.connectors import Connector


class CrossAttention(nn.Module):
    """Queries [B, M, W] that attend to features [B, N, W]; `head_width`: of one head."""

    def __init__(self, width: int, heads: int, head_width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value = (nn.Linear(width, heads * head_width, bias=False) for _ in range(3))
        self.out = nn.Linear(heads * head_width, width)

    def forward(self, queries: Tensor, features: Tensor, seen: Tensor) -> Tensor:
        """`seen` bool [B, N], at least one of a row -> [B, M, W]."""
        query, key, value = (
            made.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for made in (self.query(queries), self.key(features), self.value(features))
        )
        dropout = self.dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=seen[:, None, None, :], dropout_p=dropout
        )
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out


class Latents(nn.Module):
    """`count` learned queries that read features into as many tokens: the stem of one sense."""

    def __init__(self, width: int, count: int, *, heads: int = 8, head_width: int = 64, dropout: float = 0.0) -> None:
        super().__init__()
        self.count = count
        self.queries = nn.Parameter(torch.randn(count, width) * 0.02)
        self.attention = CrossAttention(width, heads, head_width, dropout)

    def forward(self, features: Tensor, seen: Tensor | None = None) -> Tensor:
        """features [B, N, W], `seen` bool [B, N], False where there is only padding -> [B, count, W].

        What is not seen changes nothing; where nothing is seen the tokens are zero.
        """
        queries = self.queries.expand(features.shape[0], -1, -1)
        if seen is None:
            whole = torch.ones(features.shape[:2], dtype=torch.bool, device=features.device)
            made: Tensor = self.attention(queries, features, whole)
            return made
        some = seen.any(dim=1, keepdim=True)
        # A softmax over nothing is not a number, so such a row looks at all, and is put to zero.
        read: Tensor = self.attention(queries, features, seen | ~some)
        return torch.where(some.unsqueeze(2), read, 0.0)


class Mlp(nn.Sequential):
    """Two linear layers."""

    def __init__(self, dim: int, hidden: int, width: int) -> None:
        super().__init__(nn.Linear(dim, hidden), nn.SiLU(), nn.Linear(hidden, width))


class Resampler(Connector):
    """The features of all views to `count` tokens, however many views there are.

    `views`: a name for each, of a module of its own that makes its features as wide as the latents; those of one name
    are alike in every robot (`Adapters.cameras`). `features`: how many a view has, `dim`: how wide.
    """

    def __init__(
        self,
        views: Sequence[str],
        features: int,
        dim: int,
        width: int,
        count: int,
        *,
        hidden: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.order = tuple(views)
        self.views = nn.ModuleDict({name: Mlp(dim, hidden, width) for name in views})
        self.latents = Latents(width, count, dropout=dropout)
        self.register_buffer("positions", sinusoids(features, dim), persistent=False)

    def tokens(self, views: int, features: int) -> int:
        return self.latents.count

    def forward(self, features: Tensor, seen: Tensor | None = None) -> Tensor:
        """features [B, K, N, D], `seen` bool [B, K], False for a view that is missing -> [B, count, W]."""
        placed = features + self.get_buffer("positions")
        made = torch.cat([self.views[name](placed[:, number]) for number, name in enumerate(self.order)], dim=1)
        each = None if seen is None else seen.repeat_interleave(features.shape[2], dim=1)
        read: Tensor = self.latents(made, each)
        return read


def sinusoids(count: int, width: int) -> Tensor:
    """[count, width]: sine and cosine of every place, in turn (Vaswani et al. 2017); on the CPU, for buffers."""
    pairs = torch.arange(width, device="cpu").div(2, rounding_mode="floor") * 2
    angles = torch.arange(count, device="cpu").unsqueeze(1) / 10000.0 ** (pairs / width)
    even = torch.arange(width, device="cpu") % 2 == 0
    return torch.where(even, angles.sin(), angles.cos())
