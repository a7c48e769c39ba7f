"""How many floating-point operations a second a device can do at best: what model FLOPs utilisation is a share of."""

from __future__ import annotations

import os

import torch

from components.core.errors import ParamsError

PEAK_VARIABLE = "GRIPLINE_PEAK_TFLOPS"

# Dense bf16 with float32 accumulation, TFLOPS, from NVIDIA's datasheets: what is stated "with sparsity" is halved.
# A name is what CUDA calls the device, or its beginning; the first that fits counts.
_TFLOPS = (
    ("NVIDIA H200", 989.4),  # H200 Tensor Core GPU datasheet, SXM: 1,979 with sparsity
    ("NVIDIA H100 PCIe", 756.0),  # H100 Tensor Core GPU datasheet, PCIe: 1,513 with sparsity
    ("NVIDIA H100 80GB HBM3", 989.4),  # the same, SXM: 1,979 with sparsity
    ("NVIDIA A100", 312.0),  # A100 Tensor Core GPU datasheet, all forms
    ("NVIDIA L40S", 362.05),  # L40S datasheet: 362.05, 733 with sparsity
    ("NVIDIA GeForce RTX 4090", 165.2),  # Ada GPU architecture whitepaper, appendix A, FP32 accumulate
)


def peak_flops(device: torch.device) -> float | None:
    """FLOP a second: what `GRIPLINE_PEAK_TFLOPS` says, or what is known of the GPU.

    None where nobody knows, as of a CPU: what it can do depends on who else uses it. Raises `ParamsError` where the
    variable is no number above 0.
    """
    if given := os.environ.get(PEAK_VARIABLE):
        return _given(given)
    if device.type == "cuda":
        return peak_of(torch.cuda.get_device_name(device))
    return None


def peak_of(name: str) -> float | None:
    """That of a GPU as CUDA names it."""
    return next((tflops * 1e12 for known, tflops in _TFLOPS if name.startswith(known)), None)


def _given(text: str) -> float:
    try:
        tflops = float(text)
    except ValueError:
        tflops = 0.0
    if not 0 < tflops < float("inf"):
        raise ParamsError(f"{PEAK_VARIABLE} is {text!r}", hint="Give TFLOPS as a number above 0, or leave it away")
    return tflops * 1e12
