"""Numbers as one of so many bins, and back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from components.core.errors import ContractError


@dataclass(frozen=True)
class Bins:
    """`count` bins of the same width from `low` to `high`; a bin stands for its centre.

    A number between the limits comes back at most half a bin off, one beyond them as the nearest bin.
    Raises `ContractError` for limits or a count that leave no bin.
    """

    low: float
    high: float
    count: int

    def __post_init__(self) -> None:
        if self.count < 1 or not self.low < self.high:
            raise ContractError(
                f"{self.count} bins from {self.low} to {self.high} hold no number",
                hint="Give at least one bin, and a low below the high",
            )

    @property
    def width(self) -> float:
        return (self.high - self.low) / self.count

    def of(self, values: Tensor) -> Tensor:
        """Which bin each number lies in, int64 from 0 to count - 1."""
        return torch.floor((values - self.low) / self.width).clamp(0, self.count - 1).to(torch.int64)

    def centres(self, bins: Tensor) -> Tensor:
        """float32; inverse of `of` but for the half bin."""
        return (bins.to(torch.float32) + 0.5) * self.width + self.low
