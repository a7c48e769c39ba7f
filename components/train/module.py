"""What one training step is: loss, optimiser, learning rate, clipping. In float32."""

from __future__ import annotations

import math
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from components.core.errors import DatasetError
from components.core.params import Train

Batch = dict[str, Tensor]


class PolicyTraining(LightningModule):
    """Behaviour cloning: the chunk of actions that followed an observation is the target.

    A batch holds images uint8 [B, K, px, px, 3], state [B, S], tokens int64 [B, T], actions [B, H, A] (normalised) and
    mask [B, H], 0 past the end of the episode; where windows count differently also weight [B], 1 on average over all.
    """

    def __init__(self, policy: nn.Module, params: Train, steps: int) -> None:
        super().__init__()
        self.policy = policy
        self.params = params
        self.steps = steps
        self.grad_norm = 0.0
        self.val_loss = math.nan
        self._val_sums: list[tuple[float, float]] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        total, count = self._loss(batch)
        loss = total / count
        if not torch.isfinite(loss):
            raise DatasetError(
                f"the loss is {loss.item()} at step {self.global_step}",
                hint="Lower train.learning_rate, or look for extreme values among the accepted episodes",
            )
        return loss

    def on_validation_epoch_start(self) -> None:
        self._val_sums = []

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        total, count = self._loss(batch)
        self._val_sums.append((total.item(), count.item()))

    def on_validation_epoch_end(self) -> None:
        # A mean over actions, not over batches: the last batch is smaller.
        self.val_loss = sum(total for total, _ in self._val_sums) / sum(count for _, count in self._val_sums)

    def configure_optimizers(self) -> Any:
        params = self.params
        optimizer = torch.optim.AdamW(
            self.policy.parameters(), lr=params.learning_rate, weight_decay=params.weight_decay, fused=True
        )
        schedule = LambdaLR(optimizer, lambda step: learning_rate_factor(step, self.steps, params.warmup_steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer: Optimizer, *_: Any, **__: Any) -> None:
        self.grad_norm = float(nn.utils.clip_grad_norm_(self.policy.parameters(), self.params.clip_norm))

    def _loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        predicted = self.policy(batch["images"], batch["state"], batch["tokens"])
        return masked_huber(predicted, batch["actions"], batch["mask"], self.params.huber_beta, batch.get("weight"))


def masked_huber(
    predicted: Tensor, target: Tensor, mask: Tensor, beta: float, weight: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Smooth L1 over [B, H, A] where mask [B, H] is 1; returns (sum, how many numbers it is over).

    `weight` [B] changes the sum alone: over the sum of the weights of a batch, a batch of poor windows would count as
    much as one of good ones.
    """
    loss = functional.smooth_l1_loss(predicted, target, beta=beta, reduction="none")
    counted = mask if weight is None else mask * weight.unsqueeze(1)
    return (loss * counted.unsqueeze(2)).sum(), mask.sum() * target.shape[2]


def learning_rate_factor(step: int, steps: int, warmup: int) -> float:
    """Linear from 0 over `warmup` steps, then half a cosine that reaches 0 at `steps`."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return 0.5 * (1.0 + math.cos(math.pi * progress))
