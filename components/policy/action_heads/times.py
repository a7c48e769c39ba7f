"""The time of a flow as a vector, and how it is drawn while training."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class TimeWaves(nn.Module):
    """Sines, then cosines, of periods from `shortest` to `longest` in equal ratios (π0).

    `steps`: the times of integration, whose vectors are kept as constants.
    """

    waves: Tensor
    table: Tensor

    def __init__(
        self, width: int, steps: Sequence[float] = (), *, shortest: float = 4e-3, longest: float = 4.0
    ) -> None:
        super().__init__()
        share = torch.linspace(0.0, 1.0, width // 2, device="cpu")
        # In the order of the published code: 1,500 radians in single precision are sensitive to it.
        waves = 1.0 / (shortest * (longest / shortest) ** share) * 2 * math.pi
        self.register_buffer("waves", waves, persistent=False)
        self.register_buffer("table", self(torch.tensor(list(steps), device="cpu")), persistent=False)

    def forward(self, time: Tensor) -> Tensor:
        """[N] -> [N, width]."""
        angle = self.waves[None] * time[:, None]
        return torch.cat([angle.sin(), angle.cos()], dim=1)


def beta_times(count: int, device: torch.device) -> Tensor:
    """[count] draws of Beta(1.5, 1) * 0.999 + 0.001: noisier times more often, never quite 0 (π0).

    The power is the inverse of its distribution function, x ** 1.5.
    """
    return torch.rand(count, device=device) ** (1.0 / 1.5) * 0.999 + 0.001
