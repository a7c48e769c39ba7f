"""What every action head is asked."""

from __future__ import annotations

from torch import Tensor, nn

from components.policy.losses import Loss
from components.policy.parts.segments import Context

Batch = dict[str, Tensor]


class ActionHead(nn.Module):
    """From a context to a chunk [B, H, A] of normalised actions.

    `slots`: tokens of its own that the trunk carries for it, 0 for none; `noise_shape`: (steps, numbers) of the noise
    that `answer` starts from, None for a head that does not sample; `flow_convention`: which end of the flow is noise,
    for heads that follow one; `state_edges`, `action_edges`: modules and tensors of the head that belong to one robot
    (`components.policy.adapters`); `rows`: those that may grow.
    """

    slots: int = 0
    noise_shape: tuple[int, int] | None = None
    flow_convention: str = ""
    state_edges: tuple[str, ...] = ()
    action_edges: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()

    def slot_tokens(self, batch: int) -> Tensor:
        """[B, slots, W] for the trunk."""
        raise NotImplementedError

    def loss(self, context: Context, batch: Batch) -> Loss:
        """`batch` holds actions [B, H, A], mask [B, H], 0 past the end of the episode, and perhaps weight [B]."""
        raise NotImplementedError

    def answer(self, context: Context, noise: Tensor | None = None) -> Tensor:
        """[B, H, A]; `noise` [B, *noise_shape] for heads that sample."""
        raise NotImplementedError


def masked_mean(error: Tensor, batch: Batch, name: str) -> Loss:
    """Sum of `error` [B, H, A] where the mask is 1, each window by its weight, and how many numbers it is over.

    `name`: of the part in the record.
    """
    mask = batch["mask"]
    counted = mask * batch["weight"].unsqueeze(1) if "weight" in batch else mask
    total, count = (error.float() * counted.unsqueeze(2)).sum(), mask.sum() * error.shape[2]
    return Loss(total, count, {name: (total / count).detach()})
