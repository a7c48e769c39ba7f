"""Where memory ends, the setting that would have saved it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from components.core.errors import StageFailed
from components.core.params import Train

# What torch's allocator on the CPU says; it has no class of its own.
_CPU = "can't allocate memory"


@contextmanager
def memory_explained(params: Train, image_px: int) -> Iterator[None]:
    """Turns an error of memory into `StageFailed` that says which settings to lower; others pass."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise StageFailed(_message(params, error), hint=_hint(params, image_px)) from error
    except RuntimeError as error:
        if _CPU not in str(error):
            raise
        raise StageFailed(_message(params, error), hint=_hint(params, image_px)) from error


def _message(params: Train, error: BaseException) -> str:
    return f"no memory left for {params.preset} with a batch of {params.batch_size}: {str(error) or 'out of memory'}"


def _hint(params: Train, image_px: int) -> str:
    ways = []
    half, more = params.batch_size // 2, params.accumulate * 2
    if params.batch_size % (2 * params.loader.lanes) == 0:
        ways.append(f"train.batch_size {half} with train.accumulate {more}, which takes the same steps")
    elif params.batch_size > params.loader.lanes:
        ways.append(f"train.batch_size below {params.batch_size}, a multiple of loader.lanes {params.loader.lanes}")
    if params.precision == "fp32":
        ways.append("train.precision bf16")
    ways.append(f"train.loader.pool_windows below {params.loader.pool_windows}")
    ways.append(f"an embodiment with image_px below {image_px}")
    ways.append("fewer jobs side by side with GRIPLINE_WORKERS=1")
    return "Try, in this order: " + "; ".join(ways)
