"""Scaling by quantiles. Numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.core.errors import ContractError
from components.transforms.steps import Floats


@dataclass(frozen=True)
class Quantiles:
    """[low, high] -> [-1, 1], cut there: the 1 % and 99 % quantiles of data, as Open X-Embodiment (2023) normalises.

    A dimension that hardly moved in the data, by less than twice `epsilon`, is scaled as if it had.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    epsilon: float = 1e-3

    def __post_init__(self) -> None:
        if len(self.low) != len(self.high):
            raise ContractError(f"q01 has {len(self.low)} dimensions and q99 has {len(self.high)}")
        low, high = np.asarray(self.low), np.asarray(self.high)
        if not np.isfinite((low, high)).all() or (low > high).any():
            raise ContractError("q01 and q99 must be finite and q01 not above q99")
        if self.epsilon <= 0:
            raise ContractError(f"epsilon is {self.epsilon}, it must be above 0")

    @property
    def dim(self) -> int:
        return len(self.low)

    @property
    def _centre_and_half(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        low, high = np.asarray(self.low, dtype=np.float64), np.asarray(self.high, dtype=np.float64)
        return low / 2 + high / 2, np.maximum(high / 2 - low / 2, self.epsilon)

    def apply(self, values: npt.NDArray[np.floating]) -> Floats:
        """[..., D] -> float32 [..., D] in [-1, 1]; computed in float64. NaN stays NaN."""
        centre, half = self._centre_and_half
        return np.clip((np.asarray(values, dtype=np.float64) - centre) / half, -1.0, 1.0).astype(np.float32)

    def inverse(self, values: npt.NDArray[np.floating]) -> Floats:
        """Of what was not cut."""
        centre, half = self._centre_and_half
        return (np.asarray(values, dtype=np.float64) * half + centre).astype(np.float32)
