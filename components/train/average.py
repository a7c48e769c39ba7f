"""The moving average of the weights, which is what is validated and kept where there is one."""

from __future__ import annotations

import torch
from lightning.pytorch.callbacks import EMAWeightAveraging
from torch import nn


class Average(EMAWeightAveraging):
    """Exponential moving average by Lightning, in float32, from the first step on (Polyak and Juditsky 1992).

    Validation runs on the average, and the weights become it when training ends.
    """

    def __init__(self, decay: float, device: torch.device) -> None:
        # Lightning makes the average before it moves the module, so the device is said here.
        super().__init__(decay=decay, device=device)

    @property
    def policy(self) -> nn.Module | None:
        """The policy with averaged weights; None before training has begun."""
        return None if self._average_model is None else self._average_model.module.policy
