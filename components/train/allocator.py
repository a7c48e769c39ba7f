"""Memory of one training step is kept for the next."""

from __future__ import annotations

import ctypes

import torch

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_NEVER = (1 << 31) - 1


def keep_memory() -> bool:
    """For a process that only trains: what a step frees stays with it, and fresh tensors are not filled first.

    A step frees and takes the same gigabyte again, and the system would clear every page of it each time: up to a tenth
    of the time of a step on a CPU. Deterministic algorithms also fill tensors before they are written, which only shows
    where something reads what it never wrote. Numbers do not change, nor does the peak. False where there is no glibc.
    """
    torch.utils.deterministic.fill_uninitialized_memory = False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _NEVER))
