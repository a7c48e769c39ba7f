"""What a training run says about itself while it runs: numbers into a file, progress to stderr."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from tqdm import tqdm

from components.core.files import append_line, cut_file
from components.train.distributed import is_first
from components.train.module import PolicyTraining

LOG_EVERY = 25

log = logging.getLogger(__name__)


@dataclass
class RunningMean:
    """A mean of what came since it was last taken, as two numbers that a state can hold."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        self.total += value
        self.count += 1

    def take(self) -> float:
        mean = self.total / self.count
        self.total, self.count = 0.0, 0
        return mean


class Metrics(Callback):
    """Appends to metrics.jsonl as it trains. No time and no host: the same training gives the same bytes.

    Lines are {"step", "loss", "learning_rate", "grad_norm"} with the mean loss since the last line, and
    {"step", "loss", "val_loss", "val_action_error"} after each validation, with the mean loss since the last one; where
    several robots are trained also {"val_loss.<embodiment>"}. A run that goes on from a state cuts the file to what it
    held then. Only the first process writes.
    """

    def __init__(self, path: Path, name: str = "") -> None:
        self._path, self._name = path, name or path.parent.name
        self._step = 0
        self._since_line, self._since_validation = RunningMean(), RunningMean()
        self.validations: list[dict[str, float]] = []
        self.loss = math.nan

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: dict[str, Tensor], batch_idx: int
    ) -> None:
        module = training_of(pl_module)
        self.loss = module.step_loss
        self._since_line.add(module.step_loss)
        self._since_validation.add(module.step_loss)
        # Of the batches that are accumulated into one step, the last one takes it.
        stepped, self._step = trainer.global_step != self._step, trainer.global_step
        if stepped and trainer.global_step % LOG_EVERY == 0:
            self._line(
                loss=self._since_line.take(),
                learning_rate=float(trainer.optimizers[0].param_groups[0]["lr"]),
                grad_norm=module.grad_norm,
                step=trainer.global_step,
            )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Before the first step there is no training loss; the validation loss stands for both.
        module = training_of(pl_module)
        loss = self._since_validation.take() if self._since_validation.count else module.val_loss
        row = {"step": trainer.global_step, "loss": loss, "val_loss": module.val_loss}
        row["val_action_error"] = module.val_action_error
        row |= {f"val_loss.{name}": value for name, value in module.val_losses.items()}
        self.validations.append(row)
        if is_first():
            log.info("%-10s step %d: loss %.4f, held out %.4f, action error %.4f", self._name, *_said(row))
        self._line(**row)

    def state_dict(self) -> dict[str, Any]:
        size = self._path.stat().st_size if self._path.exists() else 0
        means = {"line": vars(self._since_line), "validation": vars(self._since_validation)}
        return {"bytes": size, "means": means, "step": self._step, "validations": self.validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._step, self.validations = state_dict["step"], state_dict["validations"]
        self._since_line = RunningMean(**state_dict["means"]["line"])
        self._since_validation = RunningMean(**state_dict["means"]["validation"])
        if is_first():
            cut_file(self._path, state_dict["bytes"])

    def _line(self, **values: float) -> None:
        if is_first():
            append_line(self._path, json.dumps(values, sort_keys=True))


class Progress(Callback):
    """A bar on stderr where that is a terminal. `says`: what stands behind it."""

    def __init__(self, name: str, steps: int, position: int, says: Callable[[], str] | None = None) -> None:
        self._says = says
        self._options: dict[str, Any] = {"desc": name, "total": steps, "position": position}
        self._bar: tqdm[Any] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        begun = trainer.global_step
        self._bar = tqdm(unit="step", disable=None, leave=False, mininterval=1.0, initial=begun, **self._options)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: dict[str, Tensor], batch_idx: int
    ) -> None:
        if self._bar is not None:
            if self._says is not None and not self._bar.disable:
                self._bar.set_postfix_str(self._says(), refresh=False)
            self._bar.update(trainer.global_step - self._bar.n)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._bar is not None:
            self._bar.close()


def _said(row: dict[str, float]) -> tuple[float, ...]:
    return tuple(row[name] for name in ("step", "loss", "val_loss", "val_action_error"))


def training_of(module: LightningModule) -> PolicyTraining:
    if not isinstance(module, PolicyTraining):
        raise TypeError(f"expected PolicyTraining, found {type(module).__name__}")
    return module
