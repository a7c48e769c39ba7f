"""Where a job trains: on which kind of device and in how many processes. Refuses what makes no sense."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from components.core.errors import ComponentError, ParamsError
from components.core.params import Train


@dataclass(frozen=True)
class Placement:
    """`accelerator`: "cpu" or "cuda"; `devices`: processes on each of `nodes`."""

    kind: str
    accelerator: str
    devices: int
    nodes: int

    @property
    def world(self) -> int:
        return self.devices * self.nodes


def placement_of(params: Train) -> Placement:
    """Raises `ParamsError`, which names keys that do not go together, `ComponentError` where a device is missing."""
    wanted = params.strategy
    gpus = _gpus()
    if wanted.accelerator == "gpu" and not gpus:
        raise ComponentError(
            "train.strategy.accelerator is gpu and torch sees none",
            hint="Run `nvidia-smi`, install a torch that is built for CUDA, or set it to auto",
        )
    accelerator = "cuda" if gpus and wanted.accelerator != "cpu" else "cpu"
    if accelerator == "cuda" and wanted.devices > gpus:
        raise ParamsError(f"train.strategy.devices is {wanted.devices} and torch sees {gpus} GPUs")
    placement = Placement(wanted.kind, accelerator, wanted.devices, wanted.nodes)
    _require_sense(params, placement)
    return placement


def _require_sense(params: Train, placement: Placement) -> None:
    world, lanes = placement.world, params.loader.lanes
    if (placement.kind == "single") != (world == 1):
        raise ParamsError(
            f"train.strategy.kind is {placement.kind} with {world} processes (devices x nodes)",
            hint="single is for one process, ddp and fsdp are for several",
        )
    if lanes % world:
        raise ParamsError(
            f"train.loader.lanes is {lanes}, no multiple of {world} processes (train.strategy.devices x nodes)",
            hint="Every process reads whole lanes: set train.loader.lanes to a multiple",
        )
    if placement.kind == "fsdp":
        for key, is_on in (
            ("ema_decay", params.ema_decay > 0),
            ("compile", params.compile),
            ("lora", params.lora.rank > 0),
        ):
            if is_on:
                raise ParamsError(f"train.{key} does not go with train.strategy.kind fsdp", hint="Use ddp, or leave it")
    if params.checkpoints.use == "best" and not params.checkpoints.keep_best:
        raise ParamsError("train.checkpoints.use is best and keep_best is 0", hint="Keep at least one")


def _gpus() -> int:
    # Asks the driver's library, so that processes that are forked later can still use the devices.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    return torch.cuda.device_count() if torch.cuda.is_available() else 0
