"""A linear layer that trains faster on processors whose vectors the default matrix library does not use in full."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


class Dense(nn.Linear):
    """`nn.Linear` whose products go through oneDNN while it trains in float32 on a CPU.

    MKL stays at 256-bit vectors on AMD processors, oneDNN does not: half the time on those with AVX-512. The numbers
    are those of float32 sums in another order. Everything else, export and compilation too, is left to `nn.Linear`.
    """

    def forward(self, features: Tensor) -> Tensor:
        """[..., in] -> [..., out]."""
        if not (self.training and _suits(features)):
            return functional.linear(features, self.weight, self.bias)
        out: Tensor = _OneDnn.apply(features.reshape(-1, self.in_features), self.weight, self.bias)
        return out.view(*features.shape[:-1], self.out_features)


def _suits(features: Tensor) -> bool:
    return (
        features.device.type == "cpu"
        and features.dtype is torch.float32
        and torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and torch.backends.mkldnn.is_available()
    )


class _OneDnn(torch.autograd.Function):
    """features [N, in], weight [out, in], bias [out] -> [N, out]."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(features, weight)
        return _product(features, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        features, weight = ctx.saved_tensors
        to_features, to_weight, to_bias = ctx.needs_input_grad
        return (
            _product(gradient, weight.t()) if to_features else None,
            _product(gradient.t(), features.t()) if to_weight else None,
            gradient.sum(0) if to_bias else None,
        )


def _product(left: Tensor, right: Tensor, bias: Tensor | None = None) -> Tensor:
    """left @ right.T + bias, by the operator that torch.compile itself uses on a CPU."""
    out: Tensor = torch.ops.mkldnn._linear_pointwise(left, right, bias, "none", [], "")
    return out
