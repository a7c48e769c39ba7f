"""What a training run says about itself while it runs: numbers into a file, progress to stderr, time to the journal."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from tqdm import tqdm

from components.core.files import append_line
from components.train.module import PolicyTraining

log = logging.getLogger(__name__)

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
    """Where the time of training steps goes: printed at the end, kept for the journal. Validation is left out.

    `loading_seconds`: from the end of a step to the start of the next, in which the batch is waited for and made; what
    the trainer does there itself is in it too.
    """

    def __init__(self, name: str, batch_size: int) -> None:
        self._name, self._batch_size = name, batch_size
        self._at = 0.0
        self._steps = 0
        self.seconds = self.loading_seconds = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._at = time.perf_counter()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: dict[str, Tensor], batch_idx: int
    ) -> None:
        self.loading_seconds += self._passed()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: dict[str, Tensor], batch_idx: int
    ) -> None:
        self._passed()
        self._steps += 1

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._at = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._at = time.perf_counter()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._steps:
            log.info(
                "%-10s %.0f samples/s, %.0f ms a step, %.1f %% of it loading",
                self._name,
                self._steps * self._batch_size / self.seconds,
                1000 * self.seconds / self._steps,
                100 * self.loading_seconds / self.seconds,
            )

    def _passed(self) -> float:
        """Seconds since the last mark, which are counted."""
        now = time.perf_counter()
        passed, self._at = now - self._at, now
        self.seconds += passed
        return passed


def _training(module: LightningModule) -> PolicyTraining:
    if not isinstance(module, PolicyTraining):
        raise TypeError(f"expected PolicyTraining, found {type(module).__name__}")
    return module


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
