"""Actions as bins, every number of the chunk decoded in the same pass."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.policy.action_heads.binning import Bins
from components.policy.action_heads.head import ActionHead, Batch, masked_mean
from components.policy.losses import Loss
from components.policy.parts.segments import SLOTS, Context

# As published: 256 bins between the limits of every number, which normalised actions have at -1 and 1.
RT1_BINS = Bins(-1.0, 1.0, 256)


class ParallelBins(ActionHead):
    """One slot a number; a linear layer that all slots share says how likely each bin is (Brohan et al. 2022, RT-1).

    A slot knows nothing of what another answers, so the trunk should have them see the observation and not each other.
    """

    action_edges = ("places",)
    rows = ("places",)

    def __init__(self, trunk_width: int, chunk: int, action_dim: int, bins: Bins = RT1_BINS) -> None:
        super().__init__()
        self.chunk, self.action_dim, self.bins = chunk, action_dim, bins
        self.slots = chunk * action_dim
        # As published: the slots are empty, and only their learned places tell them apart.
        self.places = nn.Parameter(torch.randn(self.slots, trunk_width) * 0.02)
        self.scores = nn.Linear(trunk_width, bins.count)

    def slot_tokens(self, batch: int) -> Tensor:
        return self.places.expand(batch, -1, -1)

    def logits(self, context: Context) -> Tensor:
        """[B, H, A, bins]."""
        scored: Tensor = self.scores(context[SLOTS]).unflatten(1, (self.chunk, self.action_dim))
        return scored

    def loss(self, context: Context, batch: Batch) -> Loss:
        logits = self.logits(context).float()
        error = functional.cross_entropy(logits.movedim(3, 1), self.bins.of(batch["actions"]), reduction="none")
        return masked_mean(error, batch, "cross_entropy")

    def answer(self, context: Context, noise: Tensor | None = None) -> Tensor:
        return self.bins.centres(self.logits(context).argmax(dim=3))
