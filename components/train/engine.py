"""The Lightning trainer of one job: how it is built and how it is run."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.strategies import DDPStrategy

from components.core.errors import ComponentError
from components.core.params import Train
from components.train.checkpoint_io import FolderCheckpointIO
from components.train.data import PolicyData
from components.train.module import MONITORED, PolicyTraining
from components.train.placement import Placement
from components.train.sharded import ShardedStrategy


def make_trainer(params: Train, placement: Placement, steps: int, callbacks: list[Callback]) -> Trainer:
    """A trainer of so many steps that prints nothing and writes nothing but states."""
    # Lightning announces devices and tips at level INFO.
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return Trainer(
        **_where(placement),
        precision="bf16-mixed" if params.precision == "bf16" else "32-true",
        accumulate_grad_batches=params.accumulate,
        max_steps=steps,
        max_epochs=-1,
        # Counted in batches.
        val_check_interval=params.checkpoints.every * params.accumulate,
        check_val_every_n_epoch=None,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=True,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


def fit(trainer: Trainer, module: PolicyTraining, data: PolicyData, state: Path | None) -> None:
    """Trains from `state` on, and validates at the end where the last step was not followed by a validation."""
    with _quiet(), _compiler_errors(module.params):
        if trainer.max_steps:
            trainer.fit(module, datamodule=data, ckpt_path=str(state) if state else None)
        every = module.params.checkpoints.every
        if trainer.global_step == 0 or trainer.global_step % every:
            trainer.validate(module, datamodule=data, verbose=False)


def early_stopping(params: Train) -> EarlyStopping:
    """Ends training after so many validations without a smaller held-out action error."""
    return EarlyStopping(
        MONITORED, mode="min", min_delta=0.0, patience=params.early_stop, check_on_train_epoch_end=False
    )  # fmt: skip


def device_of(placement: Placement) -> torch.device:
    """The device of this process."""
    return torch.device(placement.accelerator, int(os.environ.get("LOCAL_RANK", 0)) if placement.world > 1 else 0)


def _where(placement: Placement) -> dict[str, Any]:
    plugins: list[Any] = [FolderCheckpointIO()]
    strategy: Any = "auto"
    if placement.kind == "ddp":
        strategy = DDPStrategy()
    elif placement.kind == "fsdp":
        strategy = ShardedStrategy(data_parallel_size=placement.world, tensor_parallel_size=1)
    else:
        # One process inside the allocation of a scheduler is still one process.
        plugins.append(LightningEnvironment())
    return {
        "accelerator": placement.accelerator,
        "devices": placement.devices,
        "num_nodes": placement.nodes,
        "strategy": strategy,
        "plugins": plugins,
    }


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        # Lightning's own use of a torch function that is on its way out.
        warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated", category=FutureWarning)
        # Norms of a tower that keep their statistics stand still on purpose.
        warnings.filterwarnings("ignore", message="Found .* in eval mode at the start of training")
        # Costs a copy of a small gradient; the layout of a 1 x 1 convolution is the same either way.
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides", category=UserWarning)
        # Its outputs are never changed in place.
        warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view", category=UserWarning)
        yield


@contextmanager
def _compiler_errors(params: Train) -> Iterator[None]:
    """What torch.compile throws, as a sentence. Raises `ComponentError`."""
    if not params.compile:
        yield
        return
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.exc import InductorError, InvalidCxxCompiler

    try:
        yield
    except (TorchDynamoException, InductorError, InvalidCxxCompiler) as error:
        raise ComponentError(
            f"torch.compile cannot compile the policy: {str(error).splitlines()[0]}",
            hint="Install a C++ compiler (apt-get install g++), or set train.compile to false",
        ) from error
