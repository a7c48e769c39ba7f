"""What the processes of one run tell each other. With one process every function is the identity."""

from __future__ import annotations

import os
from typing import Any, TypeVar

import torch
from lightning.fabric.plugins.environments import ClusterEnvironment, SLURMEnvironment, TorchElasticEnvironment
from torch import Tensor, distributed

Value = TypeVar("Value")


def launched_from_outside() -> ClusterEnvironment | None:
    """How torchrun or SLURM started this process as one of several; None where nobody did."""
    for kind in (TorchElasticEnvironment, SLURMEnvironment):
        if kind.detect():
            environment = kind()
            return environment if environment.world_size() > 1 else None
    return None


def join(environment: ClusterEnvironment, accelerator: str) -> None:
    """Meets the other processes; returns when all are there."""
    if not distributed.is_initialized():
        os.environ.setdefault("MASTER_ADDR", environment.main_address)
        os.environ.setdefault("MASTER_PORT", str(environment.main_port))
        if accelerator == "cuda":
            torch.cuda.set_device(environment.local_rank())
        backend = "nccl" if accelerator == "cuda" else "gloo"
        distributed.init_process_group(backend, rank=environment.global_rank(), world_size=environment.world_size())


def rank_and_world() -> tuple[int, int]:
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def is_first() -> bool:
    """The process that writes."""
    return rank_and_world()[0] == 0


def agreed(value: Value) -> Value:
    """What the first process holds."""
    if rank_and_world()[1] == 1:
        return value
    held: list[Any] = [value]
    distributed.broadcast_object_list(held, src=0)
    return held[0]


def summed(values: Tensor) -> Tensor:
    """Sum over the processes, of numbers that need no gradient."""
    if rank_and_world()[1] == 1:
        return values
    total = values.detach().clone()
    distributed.all_reduce(total)
    return total


def gathered(values: Tensor, device: torch.device) -> Tensor:
    """[...] of each process -> [world, ...] in main memory. `device`: where the processes exchange tensors."""
    world = rank_and_world()[1]
    if world == 1:
        return values[None]
    own = values.to(device)
    parts = [torch.empty_like(own) for _ in range(world)]
    distributed.all_gather(parts, own)
    return torch.stack(parts).cpu()
