"""Actions regressed at once, from one vector that says what the trunk has made of it all."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.policy.action_heads.head import ActionHead, Batch, masked_mean
from components.policy.losses import Loss
from components.policy.parts.segments import SLOTS, Context

Pool = Literal["mean", "last", "slot"]
Error = Literal["l1", "mse", "huber"]


class Pooling(nn.Module):
    """All hidden states to one: their mean, the last of them, or that of a token which the trunk carries for it.

    Of the mean and the last, padding is no part. `slots`: tokens for the trunk, 1 or 0.
    """

    def __init__(self, width: int, pool: Pool) -> None:
        super().__init__()
        self.pool, self.slots = pool, int(pool == "slot")
        self.token = nn.Parameter(torch.randn(1, width) * 0.02) if self.slots else None

    def slot_tokens(self, batch: int) -> Tensor:
        assert self.token is not None
        return self.token.expand(batch, -1, -1)

    def forward(self, context: Context) -> Tensor:
        """[B, W]."""
        if self.pool == "slot":
            return context[SLOTS][:, 0]
        hidden, seen = context.hidden()
        if self.pool == "mean":
            return mean_of(hidden, seen)
        place = (seen * torch.arange(1, seen.shape[1] + 1, device=seen.device)).argmax(dim=1)
        return hidden.gather(1, place[:, None, None].expand(-1, 1, hidden.shape[2])).squeeze(1)


def mean_of(hidden: Tensor, seen: Tensor) -> Tensor:
    """Of hidden [B, L, W] where seen [B, L]: [B, W], zero where nothing is seen."""
    there = seen.unsqueeze(2).to(hidden.dtype)
    return (hidden * there).sum(dim=1) / there.sum(dim=1).clamp(min=1.0)


class PooledRegression(ActionHead):
    """An MLP over the pooled trunk writes the whole chunk: linear, SiLU, and norms from the second layer on (HPT).

    `beta`: where the Huber error turns from a square to a line; `bounded`: answers lie in (-1, 1), by a tanh.
    """

    action_edges = ("pooling", "layers")

    def __init__(
        self,
        trunk_width: int,
        chunk: int,
        action_dim: int,
        *,
        widths: Sequence[int] = (256, 128),
        pool: Pool = "mean",
        error: Error = "huber",
        beta: float = 0.05,
        dropout: float = 0.0,
        bounded: bool = True,
    ) -> None:
        super().__init__()
        self.chunk, self.action_dim, self.error, self.beta, self.bounded = chunk, action_dim, error, beta, bounded
        self.pooling = Pooling(trunk_width, pool)
        self.slots = self.pooling.slots
        layers: list[nn.Module] = [nn.Linear(trunk_width, widths[0]), nn.SiLU()]
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.Dropout(dropout), nn.LayerNorm(after), nn.SiLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], chunk * action_dim))

    def slot_tokens(self, batch: int) -> Tensor:
        return self.pooling.slot_tokens(batch)

    def loss(self, context: Context, batch: Batch) -> Loss:
        answered, actions = self.answer(context).float(), batch["actions"]
        if self.error == "huber":
            error = functional.smooth_l1_loss(answered, actions, beta=self.beta, reduction="none")
        elif self.error == "l1":
            error = functional.l1_loss(answered, actions, reduction="none")
        else:
            error = functional.mse_loss(answered, actions, reduction="none")
        return masked_mean(error, batch, self.error)

    def answer(self, context: Context, noise: Tensor | None = None) -> Tensor:
        written: Tensor = self.layers(self.pooling(context)).unflatten(1, (self.chunk, self.action_dim))
        return written.tanh() if self.bounded else written
