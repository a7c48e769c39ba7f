"""Actions as a mixture of Gaussians, for demonstrations that do the same thing in several ways."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.policy.action_heads.head import ActionHead, Batch
from components.policy.action_heads.pooled import Pool, Pooling
from components.policy.losses import Loss
from components.policy.parts.segments import Context

_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


class MixtureHead(ActionHead):
    """`modes` Gaussians with a diagonal covariance over the pooled trunk (robomimic, Mandlekar et al. 2021; HPT).

    Means lie in (-1, 1) by a tanh, standard deviations are softplus(x) + `min_std`. One choice of a mode for the whole
    chunk, so that its actions belong to one way of doing it; `per_step`: one for every action. The answer is the mean
    of the most likely mode, which is deterministic, where the originals draw or average.
    """

    action_edges = ("pooling", "layers", "out")

    def __init__(
        self,
        trunk_width: int,
        chunk: int,
        action_dim: int,
        *,
        modes: int = 5,
        hidden: int = 256,
        min_std: float = 1e-4,
        per_step: bool = False,
        pool: Pool = "mean",
    ) -> None:
        super().__init__()
        self.chunk, self.action_dim, self.modes, self.min_std = chunk, action_dim, modes, min_std
        self.choices = chunk if per_step else 1
        self.pooling = Pooling(trunk_width, pool)
        self.slots = self.pooling.slots
        self.layers = nn.Sequential(nn.Linear(trunk_width, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        numbers = modes * chunk * action_dim
        self.out = nn.ModuleDict(
            {
                "means": nn.Linear(hidden, numbers),
                "stds": nn.Linear(hidden, numbers),
                "logits": nn.Linear(hidden, modes * self.choices),
            }
        )

    def slot_tokens(self, batch: int) -> Tensor:
        return self.pooling.slot_tokens(batch)

    def mixture(self, context: Context) -> tuple[Tensor, Tensor, Tensor]:
        """Logits [B, C, M] of the modes, their means and standard deviations [B, C, M, H / C, A].

        C: choices of a mode that are made, 1 or one a step.
        """
        hidden, sizes = self.layers(self.pooling(context)), (self.choices, self.modes, -1, self.action_dim)
        means = self.out["means"](hidden).tanh().unflatten(1, sizes)
        stds = functional.softplus(self.out["stds"](hidden)).unflatten(1, sizes) + self.min_std
        return self.out["logits"](hidden).unflatten(1, (self.choices, self.modes)), means, stds

    def loss(self, context: Context, batch: Batch) -> Loss:
        """Negative log-likelihood, nats a number; it may be below zero. "error": of the answer, mean absolute."""
        logits, means, stds = (made.float() for made in self.mixture(context))
        actions, mask = batch["actions"].float(), batch["mask"]
        by_choice = actions.unflatten(1, (self.choices, 1, -1))
        away = (by_choice - means) / stds
        likely = -0.5 * away.square() - stds.log() - _HALF_LOG_TWO_PI
        # What lies past the end has no likelihood: the marginal of the mixture over what is there.
        there = mask.unflatten(1, (self.choices, 1, -1)).unsqueeze(4)
        of_modes = (likely * there).sum(dim=(3, 4)) + logits.log_softmax(dim=2)
        likelihood = of_modes.logsumexp(dim=2) * (mask.unflatten(1, (self.choices, -1)).amax(dim=2))
        of_rows = -likelihood.sum(dim=1)
        counted = of_rows * batch["weight"] if "weight" in batch else of_rows
        total, count = counted.sum(), mask.sum() * self.action_dim
        with torch.no_grad():
            apart = (self._of_the_likeliest(logits, means) - actions).abs() * mask.unsqueeze(2)
        return Loss(total, count, {"nll": (total / count).detach(), "error": apart.sum() / count})

    def answer(self, context: Context, noise: Tensor | None = None) -> Tensor:
        logits, means, _ = self.mixture(context)
        return self._of_the_likeliest(logits, means)

    def _of_the_likeliest(self, logits: Tensor, means: Tensor) -> Tensor:
        """[B, H, A]."""
        chosen = logits.argmax(dim=2)[:, :, None, None, None].expand(-1, -1, 1, *means.shape[3:])
        return means.gather(2, chosen).flatten(1, 3)
