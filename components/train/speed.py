"""How fast a run trains: samples a second, the share of loading, and the share of what the device could do."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from components.core.files import append_line
from components.core.params import Train
from components.core.training_run import SPEED_NAME
from components.train.callbacks import LOG_EVERY
from components.train.distributed import is_first
from components.train.jobs import Job
from components.train.peak import peak_flops

log = logging.getLogger(__name__)


def throughput_of(job: Job, params: Train, folder: Path) -> Throughput:
    """That of one process of a job; the first one writes. What torch.compile makes of a policy cannot be counted."""
    path = folder / SPEED_NAME if is_first() else None
    return Throughput(job.name, params.batch_size, path, counts=not params.compile)


class Throughput(Callback):
    """Where the time of training steps goes: written while it trains, printed at the end, kept for the journal.

    Lines of `path` are {"step", "at", "samples_per_s", "data_share"} and, where FLOPs and peak are known, {"mfu"}: over
    the steps since the last line, `at` in seconds since 1970. They hold times, so `path` is in no output of the stage.
    Validation is left out. Samples are those of all processes, time and FLOPs those of this one.

    `loading_seconds`: from the end of a step to the start of the next, in which the batch is waited for and made; what
    the trainer does there itself is in it too. `flops`: of the forward and backward pass of one batch; `peak`: FLOP a
    second of the device, None where unknown.
    """

    def __init__(self, name: str, batch_size: int, path: Path | None = None, *, counts: bool = True) -> None:
        self._name, self._batch_size, self._path, self._counts = name, batch_size, path, counts
        self._at = 0.0
        self._counter: FlopCounterMode | None = None
        self._line = (0, 0.0, 0.0)
        self.batches = 0
        self.seconds = self.loading_seconds = 0.0
        self.flops: int | None = None
        self.peak: float | None = None

    @property
    def samples_per_s(self) -> float:
        """Over all steps so far."""
        return self.batches * self._batch_size / max(self.seconds, 1e-9)

    @property
    def mfu(self) -> float | None:
        """Model FLOPs utilisation (Chowdhery et al. 2022) over all steps so far; None where the peak is unknown."""
        return self._mfu(self.batches, self.seconds)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.peak = peak_flops(pl_module.device)
        self._at = time.perf_counter()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: dict[str, Tensor], batch_idx: int
    ) -> None:
        self.loading_seconds += self._passed()
        if self._counts and self.flops is None:
            # Counted as the first batch runs: no pass of its own, and no other number is drawn.
            self._counter = FlopCounterMode(display=False)
            self._counter.__enter__()

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end_count()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._end_count()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: dict[str, Tensor], batch_idx: int
    ) -> None:
        self._passed()
        self.batches += 1
        if self._path is not None and trainer.global_step % LOG_EVERY == 0 and self.batches > self._line[0]:
            self._write(self._path, trainer.global_step)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._at = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._at = time.perf_counter()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.batches:
            mfu = "" if self.mfu is None else f", {100 * self.mfu:.1f} % of the device's peak"
            log.info(
                "%-10s %.0f samples/s, %.0f ms a batch, %.1f %% of it loading%s",
                self._name,
                self.samples_per_s,
                1000 * self.seconds / self.batches,
                100 * self.loading_seconds / self.seconds,
                mfu,
            )

    def _end_count(self) -> None:
        if self._counter is not None:
            self._counter.__exit__(None, None, None)
            self.flops = self._counter.get_total_flops()
            self._counter = None

    def _mfu(self, batches: int, seconds: float) -> float | None:
        if not self.flops or not self.peak or not seconds:
            return None
        return self.flops * batches / seconds / self.peak

    def _write(self, path: Path, step: int) -> None:
        batches, seconds, loading = (
            now - before
            for now, before in zip((self.batches, self.seconds, self.loading_seconds), self._line, strict=True)
        )
        self._line = (self.batches, self.seconds, self.loading_seconds)
        values = {
            "step": step,
            "at": round(time.time(), 3),
            "samples_per_s": round(batches * self._batch_size / seconds, 2),
            "data_share": round(loading / seconds, 4),
        }
        if (mfu := self._mfu(int(batches), seconds)) is not None:
            values["mfu"] = round(mfu, 4)
        append_line(path, json.dumps(values, sort_keys=True))

    def _passed(self) -> float:
        """Seconds since the last mark, which are counted."""
        now = time.perf_counter()
        passed, self._at = now - self._at, now
        self.seconds += passed
        return passed
