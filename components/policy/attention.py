"""Attention of several heads, computed in one of three ways that give the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.core.errors import ComponentError, UsageError
from components.policy.dense import Dense

# Bound of the three input projections as if they were one matrix, which is how Transformers are usually begun.
_FUSED_GAIN = 2.0**-0.5


class Attention(nn.Module):
    """Scaled dot-product attention (Vaswani et al. 2017) over `heads` parts of `width`.

    `dropout`: of the weights, while training. `kernel` says how it is computed and is no part of the weights; `flex`
    has no dropout of the weights.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.dropout, self.kernel = heads, dropout, "sdpa"
        self.query, self.key, self.value = (Dense(width, width) for _ in range(3))
        self.out = Dense(width, width)
        for projection in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(projection.weight, gain=_FUSED_GAIN)
        for projection in (self.query, self.key, self.value, self.out):
            nn.init.zeros_(projection.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, hidden: Tensor | None = None) -> Tensor:
        """query [B, Q, D], key and value [B, K, D], hidden bool [B, K] (True: not to be looked at) -> [B, Q, D].

        Raises `ComponentError` where the kernel cannot run.
        """
        parts = (self._split(one) for one in (self.query(query), self.key(key), self.value(value)))
        mixed = KERNELS[self.kernel](*parts, hidden, self.dropout if self.training else 0.0)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def _split(self, projected: Tensor) -> Tensor:
        """[B, L, D] -> [B, heads, L, D / heads]."""
        return projected.unflatten(2, (self.heads, -1)).transpose(1, 2)


def set_attention(policy: nn.Module, kernel: str) -> None:
    """Has every `Attention` of `policy`, and every model of transformers in it, computed this way.

    A policy without any stays as it is, as does a model that transformers has no fused attention for. Raises
    `ComponentError` for `flex` with a model of transformers: it wants masks of its own and ours are numbers.
    """
    if kernel not in KERNELS:
        raise UsageError(f"no attention kernel {kernel!r}", hint=f"Known: {', '.join(sorted(KERNELS))}")
    for name, module in policy.named_modules():
        if isinstance(module, Attention):
            module.kernel = kernel
        # Known by its method: transformers is not imported for policies that have none of it.
        elif hasattr(module, "set_attn_implementation"):
            _set_model(name, module, kernel)


def _set_model(name: str, model: Any, kernel: str) -> None:
    if kernel == "flex":
        raise ComponentError(
            f"FlexAttention does not run in {name}, a {type(model).__name__} of transformers",
            hint="Set train.attention to sdpa or eager",
        )
    if model.config._attn_implementation != kernel and (kernel == "eager" or model._supports_sdpa):
        model.set_attn_implementation(kernel)


def _sdpa(query: Tensor, key: Tensor, value: Tensor, hidden: Tensor | None, dropout: float) -> Tensor:
    mask = None if hidden is None else ~hidden[:, None, None, :]
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)


def _eager(query: Tensor, key: Tensor, value: Tensor, hidden: Tensor | None, dropout: float) -> Tensor:
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(2, 3)
    if hidden is not None:
        scores = scores.masked_fill(hidden[:, None, None, :], -torch.inf)
    return functional.dropout(scores.softmax(dim=3), dropout) @ value


def _flex(query: Tensor, key: Tensor, value: Tensor, hidden: Tensor | None, dropout: float) -> Tensor:
    """FlexAttention (Dong et al. 2024): one compiled kernel on a GPU; on a CPU only without gradients, unfused."""
    from torch.nn.attention.flex_attention import flex_attention

    on_cpu = query.device.type == "cpu"
    if on_cpu and query.requires_grad:
        raise ComponentError("FlexAttention does not train on a CPU", hint="Set train.attention to sdpa or eager")

    def seen(score: Tensor, row: Tensor, head: Tensor, asked: Tensor, looked_at: Tensor) -> Tensor:
        assert hidden is not None
        return torch.where(hidden[row, looked_at], -torch.inf, score)

    function = flex_attention if on_cpu or torch.compiler.is_compiling() else _compiled_flex()
    mixed: Tensor = function(query, key, value, score_mod=None if hidden is None else seen)
    return mixed


@lru_cache(maxsize=1)
def _compiled_flex() -> Callable[..., Any]:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention)


KERNELS: dict[str, Callable[..., Tensor]] = {"sdpa": _sdpa, "flex": _flex, "eager": _eager}
