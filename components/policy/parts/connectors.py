"""From the features of a vision tower to tokens of a trunk."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

_ACTIVATIONS = {"gelu": nn.GELU, "relu": nn.ReLU, "silu": nn.SiLU}


class Connector(nn.Module):
    """Features [B, K, N, D] of K views to tokens [B, M, W]. `tokens`: M for so many views of so many features."""

    def tokens(self, views: int, features: int) -> int:
        return views * features

    def forward(self, features: Tensor) -> Tensor:
        raise NotImplementedError


class Projection(Connector):
    """A linear layer or an MLP over every feature; as many tokens as features, view after view.

    `widths`: of the layers, the last one the trunk's. One is a linear projection (π0), three the fused projector of
    Prismatic.
    """

    def __init__(self, dim: int, widths: Sequence[int], activation: str = "gelu", *, bias: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((dim, *widths), widths, strict=False):
            layers += [nn.Linear(before, after, bias=bias), _ACTIVATIONS[activation]()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, features: Tensor) -> Tensor:
        projected: Tensor = self.layers(features)
        return projected.flatten(1, 2)
