"""The same step many times over: a loop of Python, and one of the graph where the policy is exported."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def repeated(step: Callable[[Tensor, Tensor], Tensor], start: Tensor, steps: int) -> Tensor:
    """`start` [B, ...] after `steps` of `step`(point, number of the step [1]); a `Loop` where it is exported to ONNX.

    Unrolled, a graph has every node of a step so many times and takes minutes to export. What `step` takes from
    outside is computed once, before the loop.
    """
    # Without an axis: the exporter takes any axis of a carry for a free one.
    number = torch.zeros((), dtype=torch.int64, device=start.device)
    if not torch.compiler.is_exporting():
        point = start
        for _ in range(steps):
            point, number = step(point, number.reshape(1)), number + 1
        return point
    from torch._higher_order_ops import while_loop

    def more(number: Tensor, point: Tensor) -> Tensor:
        return number < steps

    def once(number: Tensor, point: Tensor) -> tuple[Tensor, Tensor]:
        return number + 1, step(point, number.reshape(1))

    # Carries must keep their strides, which an expanded noise does not; `contiguous` would ask whether the batch is 1.
    begun = start.clone(memory_format=torch.contiguous_format)
    reached: Tensor = while_loop(more, once, (number, begun))[1]
    return reached
