"""The expert of SmolVLA (Shukor et al. 2025): a narrow language model beside the one that has read the observation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from components.policy.parts.masks import additive
from components.policy.parts.rotary import Rotary, Turns, turned
from components.policy.parts.segments import KeysValues


@dataclass(frozen=True)
class ExpertSize:
    """`layers`, `heads`, `shared` (heads of keys and values) and `head_width` are those of the trunk beside it."""

    width: int
    feed: int
    layers: int
    heads: int
    shared: int
    head_width: int
    theta: float


@dataclass(frozen=True, eq=False)
class Observed:
    """What every step needs of the observation: keys and values of each layer, who sees what, and the places.

    `own` and `cross`: what is added to the scores of layers of either kind, [B, 1, heads that share · N, ...]; `after`
    and `from_zero`: turns of the places after the observation's, and of places that begin at 0.
    """

    memory: tuple[tuple[Tensor, Tensor], ...]
    own: Tensor
    cross: Tensor
    after: Turns
    from_zero: Turns


class ExpertAttention(nn.Module):
    """`crosses`: keys and values are made of those of the trunk; else they are the trunk's and the expert's own."""

    def __init__(self, size: ExpertSize, *, crosses: bool) -> None:
        super().__init__()
        self.size, self.crosses = size, crosses
        inner, shared = size.heads * size.head_width, size.shared * size.head_width
        source = shared if crosses else size.width
        self.query, self.out = nn.Linear(size.width, inner, bias=False), nn.Linear(inner, size.width, bias=False)
        self.key, self.value = (nn.Linear(source, shared, bias=False) for _ in range(2))

    def remember(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Of what the trunk keeps, [B, shared, L, head width], what this layer looks at."""
        if not self.crosses:
            return keys, values
        return self._split(self.key(_joined(keys))), self._split(self.value(_joined(values)))

    def forward(self, hidden: Tensor, memory: tuple[Tensor, Tensor], observed: Observed) -> Tensor:
        turns, mask = (observed.from_zero, observed.cross) if self.crosses else (observed.after, observed.own)
        query = turned(self._split(self.query(hidden)), turns)
        keys, values = memory
        if not self.crosses:
            keys = torch.cat([keys, turned(self._split(self.key(hidden)), turns)], dim=2)
            values = torch.cat([values, self._split(self.value(hidden))], dim=2)
        out: Tensor = self.out(_joined(self._mixed(query, keys, values, mask)))
        return out

    def _mixed(self, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """[B, heads, N, head width]. Heads that share keys ask one after the other: the keys need no copies."""
        asked = query.unflatten(1, (self.size.shared, -1)).flatten(2, 3)
        mixed = functional.scaled_dot_product_attention(asked, keys, values, attn_mask=mask)
        return mixed.unflatten(2, (-1, query.shape[2])).flatten(1, 2)

    def _split(self, projected: Tensor) -> Tensor:
        return projected.unflatten(2, (-1, self.size.head_width)).transpose(1, 2)


class ExpertLayer(nn.Module):
    """Norm, attention, norm, gated linear layers: a layer of Llama."""

    def __init__(self, size: ExpertSize, *, crosses: bool) -> None:
        super().__init__()
        self.attention_norm, self.feed_norm = (LlamaRMSNorm(size.width, 1e-5) for _ in range(2))
        self.attention = ExpertAttention(size, crosses=crosses)
        self.gate, self.up = (nn.Linear(size.width, size.feed, bias=False) for _ in range(2))
        self.down = nn.Linear(size.feed, size.width, bias=False)

    def forward(self, hidden: Tensor, memory: tuple[Tensor, Tensor], observed: Observed) -> Tensor:
        hidden = hidden + self.attention(self.attention_norm(hidden), memory, observed)
        normed = self.feed_norm(hidden)
        return hidden + self.down(functional.silu(self.gate(normed)) * self.up(normed))


class InterleavedExpert(nn.Module):
    """Layers that look at the trunk's keys and values of the same depth.

    The first, third, ... take them beside their own, and an action sees those before it; the second, fourth, ... make
    keys and values of the trunk's alone.
    """

    def __init__(self, size: ExpertSize) -> None:
        super().__init__()
        self.sharing = size.heads // size.shared
        self.layers = nn.ModuleList(ExpertLayer(size, crosses=number % 2 == 1) for number in range(size.layers))
        self.norm = LlamaRMSNorm(size.width, 1e-5)
        self.rotary = Rotary(size.head_width, size.theta)

    def observe(self, cache: KeysValues, seen: Tensor, count: int) -> Observed:
        """`cache` and `seen` bool [B, L] of the trunk, `count`: tokens N of the expert."""
        memory = tuple(layer.attention.remember(*kept) for layer, kept in zip(self.layers, cache, strict=True))
        before = torch.ones(count, count, dtype=torch.bool, device=seen.device).tril()
        cross = seen[:, None, None, :].expand(-1, 1, count, -1)
        own = torch.cat([cross, before.expand(seen.shape[0], 1, count, count)], dim=3)
        places = torch.arange(count, device=seen.device)
        return Observed(
            memory=memory,
            own=self._scores(own),
            cross=self._scores(cross),
            after=self.rotary(seen.long().sum(dim=1, keepdim=True) + places),
            from_zero=self.rotary(places),
        )

    def forward(self, hidden: Tensor, observed: Observed) -> Tensor:
        """[B, N, W] -> [B, N, W]."""
        for layer, memory in zip(self.layers, observed.memory, strict=True):
            hidden = layer(hidden, memory, observed)
        normed: Tensor = self.norm(hidden)
        return normed

    def _scores(self, mask: Tensor) -> Tensor:
        return additive(mask.repeat(1, 1, self.sharing, 1), self.norm.weight.dtype)


def copied(observed: Observed, times: int) -> Observed:
    """Every row of the observation so many times."""

    def rows(values: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        first, second = (one.repeat_interleave(times, dim=0) for one in values)
        return first, second

    own, cross = rows((observed.own, observed.cross))
    memory = tuple(rows(one) for one in observed.memory)
    return Observed(memory, own, cross, rows(observed.after), observed.from_zero)


def _joined(heads: Tensor) -> Tensor:
    """[B, heads, L, head width] -> [B, L, heads · head width]."""
    return heads.transpose(1, 2).flatten(2)
