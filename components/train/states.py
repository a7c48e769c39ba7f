"""The states that a killed job goes on from: written while it trains, at most two, the last whole one taken up."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from components.core.errors import RecordError
from components.train.best import BestCheckpoints, step_name
from components.train.checkpoint_io import require_whole
from components.train.distributed import gathered, is_first, rank_and_world

log = logging.getLogger(__name__)

STATES = "states"
KEPT = 2
# What a job that goes on finds again; anything else in its folder was written by a killed process.
_SURVIVES = (STATES, "best", "metrics.jsonl", "looks", "speed.jsonl")
_NAME = re.compile(r"step-(\d{6,})")
_RNG = "gripline_rng"


def step_of(state: Path) -> int:
    return int(state.name.removeprefix("step-"))


def prepare(folder: Path) -> Path | None:
    """Makes `folder` ready for a job and returns the state it goes on from; without one it begins afresh, empty."""
    folder.mkdir(parents=True, exist_ok=True)
    state = _last_whole(folder / STATES)
    survives = _SURVIVES if state else ()
    for path in folder.iterdir():
        if path.name not in survives:
            _remove(path)
    return state


class RunningState(Checkpoint):
    """Writes a state after each validation on the way, when all other callbacks have seen it.

    It holds all that the steps to come follow from: weights, averages, optimiser, schedule, random numbers of torch,
    position, and what the other callbacks keep.
    """

    def __init__(self, folder: Path, steps: int, best: BestCheckpoints | None) -> None:
        self._states, self._steps, self._best = folder / STATES, steps, best
        self._rng: dict[str, Any] | None = None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # The last validation ends the job: a run that is killed after it repeats the last stretch.
        if trainer.state.fn != TrainerFn.FITTING or trainer.global_step >= self._steps or trainer.should_stop:
            return
        trainer.save_checkpoint(self._states / step_name(trainer.global_step))
        if is_first():
            for old in _whole_names(self._states)[:-KEPT]:
                _remove(old)
        if self._best is not None:
            self._best.prune()

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        device = pl_module.device
        checkpoint[_RNG] = {"cpu": gathered(torch.get_rng_state(), device)}
        if device.type == "cuda":
            checkpoint[_RNG]["cuda"] = gathered(torch.cuda.get_rng_state(device), device)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._rng = checkpoint[_RNG]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._rng is not None:
            # Copies: torch reads such a state from the beginning of the memory that it lies in.
            rank = rank_and_world()[0]
            torch.set_rng_state(self._rng["cpu"][rank].clone())
            if pl_module.device.type == "cuda":
                torch.cuda.set_rng_state(self._rng["cuda"][rank].clone(), pl_module.device)


def _last_whole(states: Path) -> Path | None:
    """The newest state that can be read. What is damaged is named and removed, as is what was never finished."""
    for path in states.iterdir() if states.is_dir() else ():
        if not _NAME.fullmatch(path.name):
            _remove(path)
    for state in reversed(_whole_names(states)):
        try:
            require_whole(state)
        except RecordError as error:
            log.warning("%s", error)
            _remove(state)
        else:
            return state
    return None


def _whole_names(states: Path) -> list[Path]:
    """Folders of states, the oldest first."""
    found = [path for path in states.iterdir() if _NAME.fullmatch(path.name)] if states.is_dir() else []
    return sorted(found, key=step_of)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
