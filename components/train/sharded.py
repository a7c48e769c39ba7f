"""Training whose weights, gradients and optimiser are spread over the processes: PyTorch's FSDP2, by Lightning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.fsdp import FSDPModule, FullyShardedDataParallel, OptimStateKeyType, fully_shard

from components.train.module import PolicyTraining

_FULL = StateDictOptions(full_state_dict=True, cpu_offload=True)


class ShardedTraining(PolicyTraining):
    """The same steps; every direct part of the policy is gathered when it is needed (Zhao et al. 2023)."""

    def configure_model(self) -> None:
        if isinstance(self.policy, FSDPModule):
            return
        mesh = self.device_mesh["data_parallel"]
        for part in self.policy.children():
            if any(True for _ in part.parameters()) and not isinstance(part, nn.ModuleList | nn.ModuleDict):
                fully_shard(part, mesh=mesh)
        fully_shard(self.policy, mesh=mesh)


class ShardedStrategy(ModelParallelStrategy):
    """Writes the whole state through the checkpoint plugin, as Lightning's own does, and also reads it from there."""

    def __init__(self, **options: Any) -> None:
        super().__init__(save_distributed_checkpoint=False, **options)

    def load_checkpoint(self, checkpoint_path: str | Path, weights_only: bool | None = None) -> dict[str, Any]:
        checkpoint = self.checkpoint_io.load_checkpoint(checkpoint_path)
        model = self.model
        set_model_state_dict(model, checkpoint["state_dict"], options=_FULL)
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            named = FullyShardedDataParallel.rekey_optim_state_dict(state, OptimStateKeyType.PARAM_NAME, model)
            set_optimizer_state_dict(model, optimizer, named, options=_FULL)
        return checkpoint


def full_weights(policy: nn.Module) -> dict[str, Any]:
    """All weights of a sharded policy, in main memory of the first process; the others call it too and get none."""
    return get_model_state_dict(policy, options=_FULL)
