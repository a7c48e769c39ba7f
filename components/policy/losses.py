"""What a policy that knows its own training loss gives: `training_loss(batch) -> Loss`. Others are regressed."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor


class Loss(NamedTuple):
    """`total` / `count` is what is minimised; `count`: how many numbers it is over; `parts`: means, for the record."""

    total: Tensor
    count: Tensor
    parts: dict[str, Tensor]


@runtime_checkable
class OwnLoss(Protocol):
    """A policy that is not trained by the error of what it answers alone."""

    def training_loss(self, batch: dict[str, Tensor]) -> Loss:
        """`batch` as `components.train` makes it: images, state, tokens, actions, mask and perhaps weight."""
