"""Actions regressed at once, from tokens that the trunk carries for them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.policy.action_heads.head import ActionHead, Batch, masked_mean
from components.policy.losses import Loss
from components.policy.parts.segments import SLOTS, Context

_ERRORS = {"l1": functional.l1_loss, "mse": functional.mse_loss}


class MlpResNet(nn.Module):
    """Norm, linear, ReLU, residual blocks (norm, linear, ReLU), norm, linear: the action head of OpenVLA-OFT."""

    def __init__(self, dim: int, width: int, out: int, blocks: int) -> None:
        super().__init__()
        self.norm, self.first = nn.LayerNorm(dim), nn.Linear(dim, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU()) for _ in range(blocks)
        )
        self.last_norm, self.last = nn.LayerNorm(width), nn.Linear(width, out)

    def forward(self, features: Tensor) -> Tensor:
        """[..., dim] -> [..., out]."""
        hidden = torch.relu(self.first(self.norm(features)))
        for block in self.blocks:
            hidden = block(hidden) + hidden
        return self.last(self.last_norm(hidden))


class SlotRegression(ActionHead):
    """One slot a number of every action: those of one action are read together (Kim et al. 2025, OpenVLA-OFT).

    `error`: "l1" or "mse".
    """

    action_edges = ("empty", "mlp.norm", "mlp.first", "mlp.last")

    def __init__(
        self, trunk_width: int, chunk: int, action_dim: int, *, width: int, blocks: int = 2, error: str = "l1"
    ) -> None:
        super().__init__()
        self.chunk, self.action_dim, self.error = chunk, action_dim, error
        self.slots = chunk * action_dim
        # As published: the slots are empty, and only their positions tell them apart.
        self.register_buffer("empty", torch.zeros(1, self.slots, trunk_width), persistent=False)
        self.mlp = MlpResNet(action_dim * trunk_width, width, action_dim, blocks)

    def slot_tokens(self, batch: int) -> Tensor:
        empty: Tensor = self.get_buffer("empty")
        return empty.expand(batch, -1, -1)

    def loss(self, context: Context, batch: Batch) -> Loss:
        error = _ERRORS[self.error](self.answer(context).float(), batch["actions"], reduction="none")
        return masked_mean(error, batch, self.error)

    def answer(self, context: Context, noise: Tensor | None = None) -> Tensor:
        hidden = context[SLOTS].unflatten(1, (self.chunk, self.action_dim)).flatten(2)
        answered: Tensor = self.mlp(hidden)
        return answered
