"""Where a token stands, as sines and cosines."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_TEMPERATURE = 10000.0
_EPS = 1e-6


def along(count: int, width: int) -> Tensor:
    """[count, width]: positions 0 .. count - 1 of a sequence (Vaswani et al. 2017)."""
    return _waves(torch.arange(count, dtype=torch.float64), width).to(torch.float32)


def across(height: int, width: int, dim: int) -> Tensor:
    """[height * width, dim]: rows in the first half, columns in the second, over one period (Carion et al. 2020)."""
    down, right = (
        torch.arange(1, side + 1, dtype=torch.float64) / (side + _EPS) * (2.0 * math.pi) for side in (height, width)
    )
    rows = _waves(down, dim // 2)[:, None, :].expand(height, width, -1)
    columns = _waves(right, dim // 2)[None, :, :].expand(height, width, -1)
    return torch.cat([rows, columns], dim=2).flatten(0, 1).to(torch.float32)


def _waves(places: Tensor, width: int) -> Tensor:
    """places [L] -> [L, width]: sine and cosine in turn, pair by pair slower."""
    pairs = torch.arange(width // 2, dtype=torch.float64)
    angles = places[:, None] / _TEMPERATURE ** (2.0 * pairs / width)
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)
