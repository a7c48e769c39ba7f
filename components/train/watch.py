"""The callbacks of a job, in the order in which they see what happens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lightning.pytorch import Callback

from components.core.params import Train
from components.train.average import Average
from components.train.best import BestCheckpoints
from components.train.callbacks import Metrics, Progress
from components.train.distributed import is_first
from components.train.engine import device_of, early_stopping
from components.train.inputs import Inputs
from components.train.jobs import Job
from components.train.looking import Looking
from components.train.placement import Placement
from components.train.saving import Saver
from components.train.speed import Throughput, throughput_of
from components.train.states import RunningState

METRICS = "metrics.jsonl"
BEST = "best"


@dataclass(frozen=True)
class Watch:
    """Those that are asked afterwards, and all of them for the trainer."""

    metrics: Metrics
    throughput: Throughput
    average: Average | None
    best: BestCheckpoints | None
    callbacks: list[Callback]


def watch(
    job: Job, inputs: Inputs, params: Train, placement: Placement, folder: Path, saver: Saver, position: int
) -> Watch:
    """What the params ask for; `position` is the line of the progress bar."""
    metrics, throughput = Metrics(folder / METRICS), throughput_of(job, params, folder)
    average = Average(params.ema_decay, device_of(placement)) if params.ema_decay and job.steps else None
    keep = params.checkpoints.keep_best if job.steps else 0
    best = BestCheckpoints(folder / BEST, keep, saver, average) if keep else None
    stop = early_stopping(params) if params.early_stop else None
    bar = Progress(job.name, job.steps, position, lambda: _says(metrics, throughput)) if is_first() else None
    looking = Looking(job, inputs, params, folder, average)
    state = RunningState(folder, job.steps, best)
    asked = (average, metrics, throughput, bar, best, stop, looking, state)
    return Watch(metrics, throughput, average, best, [one for one in asked if one is not None])


def _says(metrics: Metrics, throughput: Throughput) -> str:
    return f"loss {metrics.loss:.4f}, {throughput.samples_per_s:.0f} samples/s"
