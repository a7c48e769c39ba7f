"""Whether the episode will be over: beside the actions, not among them."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from components.policy.action_heads.head import Batch
from components.policy.action_heads.pooled import mean_of
from components.policy.losses import Loss
from components.policy.parts.segments import Context


class Termination(nn.Module):
    """A probability for every action of a chunk that the episode has ended before it.

    It reads the mean of what the trunk has made of the observation, and is taught by the mask of a window, which is 0
    past the end. `weight`: of its cross-entropy beside the loss of the head, both as means.
    """

    # Steps of a chunk (`components.policy.adapters`).
    rows = ("last.weight", "last.bias")

    def __init__(self, trunk_width: int, chunk: int, *, hidden: int = 128, weight: float = 0.1) -> None:
        super().__init__()
        self.weight = weight
        self.first, self.last = nn.Linear(trunk_width, hidden), nn.Linear(hidden, chunk)

    def forward(self, context: Context) -> Tensor:
        """Logits [B, H]."""
        logits: Tensor = self.last(functional.silu(self.first(mean_of(*context.hidden()))))
        return logits

    def beside(self, acted: Loss, context: Context, batch: Batch) -> Loss:
        """The loss `acted` of a head, and this one's by its weight; the count stays the head's."""
        mask = batch["mask"]
        # A window without a step is padding of a batch, and no end of an episode.
        rows = mask.amax(dim=1)
        rows = rows * batch["weight"] if "weight" in batch else rows
        wrong = functional.binary_cross_entropy_with_logits(self(context).float(), 1.0 - mask, reduction="none")
        mean = (wrong.mean(dim=1) * rows).sum() / mask.amax(dim=1).sum().clamp(min=1.0)
        return Loss(acted.total + self.weight * mean * acted.count, acted.count, acted.parts | {"done": mean.detach()})
