"""Neighbouring features of an image side by side, so that a camera costs the trunk fewer tokens."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

from torch import Tensor, nn

from components.core.errors import ContractError
from components.policy.parts.connectors import Connector, Projection


def side_by_side(features: Tensor, factor: int) -> Tensor:
    """[..., N, D] of a square image to [..., N / factor², D · factor²], row by row; within a token row by row too.

    The pixel shuffle of InternVL, Eagle-2 and Idefics3. Raises `ContractError` where the square cannot be divided.
    """
    side = isqrt(features.shape[-2])
    if side * side != features.shape[-2] or side % factor:
        raise ContractError(
            f"{features.shape[-2]} features are no square whose side can be divided by {factor}",
            hint="Take images of another size, or patches of another",
        )
    fewer = side // factor
    grid = features.unflatten(-2, (fewer, factor, fewer, factor))
    return grid.transpose(-4, -3).flatten(-3).flatten(-3, -2)


class ShuffledProjection(Connector):
    """Pixel shuffle by `factor`, then as `Projection`.

    `norm`: a layer norm before it (Eagle-2); `bias`: of its layers; `scale`: what the tokens are multiplied by.
    """

    def __init__(
        self, dim: int, factor: int, widths: Sequence[int], *, norm: bool = False, bias: bool = True, scale: float = 1.0
    ) -> None:
        super().__init__()
        wide = dim * factor**2
        self.factor, self.scale = factor, scale
        self.norm = nn.LayerNorm(wide) if norm else nn.Identity()
        self.projection = Projection(wide, widths, bias=bias)

    def tokens(self, views: int, features: int) -> int:
        return views * features // self.factor**2

    def forward(self, features: Tensor) -> Tensor:
        tokens: Tensor = self.projection(self.norm(side_by_side(features, self.factor)))
        return tokens * self.scale if self.scale != 1.0 else tokens
