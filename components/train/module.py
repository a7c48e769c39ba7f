"""What one training step is: loss, optimiser, learning rate, clipping."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from components.core.errors import DatasetError
from components.core.params import Train
from components.policy.bodies import Bodies, groups_of, names_of
from components.policy.losses import OwnLoss
from components.train.blame import Blame
from components.train.distributed import rank_and_world, summed

Batch = dict[str, Tensor]

# What early stopping and the best checkpoints look at: the mean absolute error of normalised actions, held out.
MONITORED = "val_action_error"


class PolicyTraining(LightningModule):
    """Behaviour cloning: the chunk of actions that followed an observation is the target.

    A batch holds images uint8 [B, K, px, px, 3], state [B, S], tokens int64 [B, T], actions [B, H, A] (normalised) and
    mask [B, H], 0 past the end of the episode; where windows count differently also weight [B], 1 on average over all.
    A policy may bring a training loss of its own (`OwnLoss`); what is validated is always the error of its answers.
    A teacher's actions [B, H, A] under the name teacher are a second target, `params.teacher.weight` of the loss.
    Of several robots it is padded, and `Bodies.groups` takes it apart: the loss is a mean over all their numbers.
    `val_losses`: that of each robot, where there are several.
    """

    def __init__(self, policy: nn.Module, params: Train, steps: int) -> None:
        super().__init__()
        self.policy = policy
        self.params = params
        self.steps = steps
        # Has the episodes' names; an error without it names none.
        self.blame: Blame | None = None
        # The mean over all that the step has seen, on all processes; what `training_step` returns is for the gradients.
        self.step_loss = math.nan
        self.grad_norm = 0.0
        self.val_loss = self.val_action_error = math.nan
        self.val_losses: dict[str, float] = {}
        self._val_sums: dict[str, list[tuple[float, float, float]]] = {}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        total, count = self._sums(batch)
        # Over the numbers of all processes: a mean of their means would weigh the padding of one against the others'.
        everywhere = summed(count)
        self.step_loss = (summed(total) / everywhere).item()
        if not math.isfinite(self.step_loss):
            self.policy.eval()
            if self.blame is not None:
                raise self.blame.loss(self.step_loss, self.global_step, batch, lambda row: self._sums(row)[0])
            raise DatasetError(
                f"the loss is {self.step_loss} at step {self.global_step}",
                hint="Lower train.learning_rate, or look for extreme values among the accepted episodes",
            )
        # Gradients are averaged over the processes.
        return total / everywhere * rank_and_world()[1]

    def on_validation_epoch_start(self) -> None:
        self._val_sums = {name: [] for name in names_of(self.policy)}

    def validation_step(self, batch: Batch, batch_idx: int) -> Batch:
        """Gives the callbacks "predicted", "actions" and "mask" of the workspace's own robot, where it has rows."""
        own: Batch = {}
        for name, policy, part in groups_of(self.policy, batch):
            predicted = _predict(policy, part)
            total, count = self._loss(part, predicted)
            error = masked_error(predicted, part["actions"], part["mask"])
            self._val_sums[name].append((total.item(), count.item(), error.item()))
            if name == names_of(self.policy)[0]:
                own = {"predicted": predicted, "actions": part["actions"], "mask": part["mask"]}
        return own

    def on_validation_epoch_end(self) -> None:
        # A mean over actions, not over batches: the last batch is smaller.
        sums = [[sum(column) for column in zip((0.0, 0.0, 0.0), *of, strict=True)] for of in self._val_sums.values()]
        found = summed(torch.tensor(sums, dtype=torch.float64, device=self.device))
        total, count, error = found.sum(dim=0).tolist()
        self.val_loss, self.val_action_error = total / count, error / count
        if isinstance(self.policy, Bodies):
            # A robot without held-out episodes has none.
            rows = zip(self._val_sums, found.tolist(), strict=True)
            self.val_losses = {name: total / count for name, (total, count, _) in sorted(rows) if count}
        if self._trainer is not None:
            self.log(MONITORED, self.val_action_error, sync_dist=rank_and_world()[1] > 1)

    def configure_optimizers(self) -> Any:
        params = self.params
        optimizer = torch.optim.AdamW(
            self.policy.parameters(), lr=params.learning_rate, weight_decay=params.weight_decay, fused=True
        )
        schedule = LambdaLR(optimizer, lambda step: learning_rate_factor(step, self.steps, params.warmup_steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer: Optimizer, *_: Any, **__: Any) -> None:
        norm = nn.utils.clip_grad_norm_(self.policy.parameters(), self.params.clip_norm)
        # Of a sharded policy, each process holds a part of the norm.
        self.grad_norm = float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)

    def _sums(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Sum of the training loss over all numbers of all robots, and how many they are."""
        found = [self._taught(policy, part) for _, policy, part in groups_of(self.policy, batch)]
        # Not a mean of the robots' means: every number counts the same, whoever it is of.
        total = torch.stack([total for total, _ in found]).sum()
        count = torch.stack([count for _, count in found]).sum()
        return (total + self.policy.untouched(batch) if isinstance(self.policy, Bodies) else total), count

    def _taught(self, policy: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """(sum, count) by what was recorded, and where there is a teacher by what it would have done."""
        if isinstance(policy, OwnLoss):
            return _shared(self.params.teacher.weight, batch, lambda part: policy.training_loss(part)[:2])
        predicted = _predict(policy, batch)
        return _shared(self.params.teacher.weight, batch, lambda part: self._loss(part, predicted))

    def _loss(self, batch: Batch, predicted: Tensor) -> tuple[Tensor, Tensor]:
        return masked_huber(predicted, batch["actions"], batch["mask"], self.params.huber_beta, batch.get("weight"))


def _shared(weight: float, batch: Batch, loss: Callable[[Batch], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """The loss of a batch; with a teacher, `weight` of it is the loss with the teacher's actions as target."""
    total, count = loss(batch)
    if "teacher" in batch:
        total = (1.0 - weight) * total + weight * loss(batch | {"actions": batch["teacher"]})[0]
    return total, count


def _predict(policy: nn.Module, batch: Batch) -> Tensor:
    predicted: Tensor = policy(batch["images"], batch["state"], batch["tokens"])
    return predicted.float()


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


def masked_error(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Sum of the absolute errors over [B, H, A] where mask [B, H] is 1."""
    return ((predicted - target).abs() * mask.unsqueeze(2)).sum()


def learning_rate_factor(step: int, steps: int, warmup: int) -> float:
    """Linear from 0 over `warmup` steps, then half a cosine that reaches 0 at `steps`."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return 0.5 * (1.0 + math.cos(math.pi * progress))
