"""Looking at a policy while it trains: action errors at each validation, pictures at some of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from components.core.files import write_bytes, write_json
from components.core.params import Train
from components.train.action_errors import FILE_NAME, ActionErrors
from components.train.average import Average
from components.train.callbacks import training_of
from components.train.distributed import agreed, is_first, rank_and_world, summed
from components.train.inputs import Inputs
from components.train.jobs import Job
from components.train.samples import Samples, own_policy, pick_samples, predictions

log = logging.getLogger(__name__)

# Folder of a job's pictures.
LOOKS = "looks"
ERRORS_NAME = "action_errors.png"


class Looking(Callback):
    """Writes `action_errors.json` into `folder` at each validation, and pictures half way and at the end.

    A picture that cannot be drawn costs a warning, never the training.
    """

    def __init__(self, job: Job, inputs: Inputs, params: Train, folder: Path, average: Average | None = None) -> None:
        self._job, self._inputs, self._params, self._folder = job, inputs, params, folder
        self._average = average
        self._errors = ActionErrors(inputs.transforms, params.chunk)
        self._samples: Samples | None = None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._errors.clear()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if outputs:
            found = (outputs[name].detach().float().cpu().numpy() for name in ("predicted", "actions", "mask"))
            self._errors.update(*found)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._add_up(pl_module.device)
        step = trainer.global_step
        # Early stopping has been asked before.
        ends = step >= self._job.steps or trainer.should_stop
        report = self._errors.report(step)
        if is_first():
            write_json(self._folder / FILE_NAME, report)
        if ends and is_first():
            self._guarded(lambda: self._draw_errors(report))
        if agreed(ends or (2 * step >= self._job.steps and not self._drawn_before(step))):
            self._guarded(lambda: self._draw_samples(pl_module, step))

    def _drawn_before(self, step: int) -> bool:
        """By what lies there, so that a run that goes on from a state draws what it would have drawn anyway."""
        return any(path.name < _page_name(step) for path in (self._folder / LOOKS).glob(_page_name("*")))

    def _add_up(self, device: torch.device) -> None:
        """Each process has seen some of the windows."""
        errors = self._errors
        if rank_and_world()[1] == 1:
            return
        both = np.concatenate([errors.sums.ravel(), errors.counts])
        total = summed(torch.from_numpy(both).to(device)).cpu().numpy()
        errors.sums, errors.counts = total[: errors.sums.size].reshape(errors.sums.shape), total[errors.sums.size :]

    def _draw_errors(self, report: dict[str, Any]) -> None:
        from components.train.error_page import draw_errors

        title = f"{self._job.name}, step {report['step']}: action error on held-out episodes"
        write_bytes(self._folder / LOOKS / ERRORS_NAME, draw_errors(report, title=title))

    def _draw_samples(self, module: LightningModule, step: int) -> None:
        from components.train.sample_page import draw_samples

        transforms = self._inputs.transforms
        if self._samples is None:
            self._samples = pick_samples(self._inputs.val, self._params, transforms)
        averaged = self._average.policy if self._average is not None else None
        # All processes ask: a policy that is spread over them answers to all at once.
        chunks = predictions(own_policy(averaged or training_of(module).policy), self._samples, transforms)
        if is_first():
            title = f"{self._job.name}, step {step}: held-out episodes"
            page = draw_samples(self._samples, chunks, transforms.embodiment, title=title)
            write_bytes(self._folder / LOOKS / _page_name(step), page)

    def _guarded(self, draw: Callable[[], None]) -> None:
        try:
            draw()
        # Hours of training must not be lost to a font.
        except Exception as error:
            log.warning("%s: a picture is left out: %s: %s", self._job.name, type(error).__name__, error)


def _page_name(step: int | str) -> str:
    return f"predictions-{step:06d}.png" if isinstance(step, int) else f"predictions-{step}.png"
