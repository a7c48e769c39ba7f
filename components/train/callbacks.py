"""What a training run says about itself while it runs: numbers into a file, progress to stderr, time to the journal."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from tqdm import tqdm

from components.core.files import append_line
from components.train.module import PolicyTraining

LOG_EVERY = 25


class Metrics(Callback):
    """Appends to metrics.jsonl as it trains. No time and no host: the same training gives the same bytes.

    Lines are {"step", "loss", "learning_rate", "grad_norm"} with the mean loss since the last line, and
    {"step", "loss", "val_loss"} after each validation, with the mean loss since the last validation.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._since_line: list[float] = []
        self._since_validation: list[float] = []
        self.validations: list[dict[str, float]] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: dict[str, Tensor], batch_idx: int
    ) -> None:
        loss = float(outputs["loss"])
        self._since_line.append(loss)
        self._since_validation.append(loss)
        if trainer.global_step % LOG_EVERY == 0:
            self._line(
                loss=_mean(self._since_line),
                learning_rate=float(trainer.optimizers[0].param_groups[0]["lr"]),
                grad_norm=_training(pl_module).grad_norm,
                step=trainer.global_step,
            )
            self._since_line = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Before the first step there is no training loss; the validation loss stands for both.
        val_loss = _training(pl_module).val_loss
        loss = _mean(self._since_validation) if self._since_validation else val_loss
        row = {"step": trainer.global_step, "loss": loss, "val_loss": val_loss}
        self.validations.append(row)
        self._since_validation = []
        self._line(**row)

    def _line(self, **values: float) -> None:
        append_line(self._path, json.dumps(values, sort_keys=True))


class Progress(Callback):
    """A bar on stderr where that is a terminal."""

    def __init__(self, name: str, steps: int, position: int) -> None:
        self._options: dict[str, Any] = {"desc": name, "total": steps, "position": position}
        self._bar: tqdm[Any] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._bar = tqdm(unit="step", disable=None, leave=False, mininterval=1.0, **self._options)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: dict[str, Tensor], batch_idx: int
    ) -> None:
        if self._bar is not None:
            self._bar.update()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._bar is not None:
            self._bar.close()


class Throughput(Callback):
    """Where the time goes, for the journal."""

    def __init__(self) -> None:
        self._began = self._step_began = 0.0
        self.seconds = self.compute_seconds = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._began = time.perf_counter()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: dict[str, Tensor], batch_idx: int
    ) -> None:
        self._step_began = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: dict[str, Tensor], batch_idx: int
    ) -> None:
        self.compute_seconds += time.perf_counter() - self._step_began

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.seconds = time.perf_counter() - self._began


def _training(module: LightningModule) -> PolicyTraining:
    if not isinstance(module, PolicyTraining):
        raise TypeError(f"expected PolicyTraining, found {type(module).__name__}")
    return module


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
