"""The stage `train`: every job in a process of its own, side by side."""

from __future__ import annotations

import csv
import io
import logging
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import torch

from components.core.children import die_with_parent
from components.core.errors import StageFailed
from components.core.files import replace_dir, write_json, write_text
from components.core.params import Params, Train, workers
from components.core.workspace import Workspace
from components.train.inputs import Inputs, load_inputs
from components.train.jobs import Job, plan_jobs
from components.train.train import Trained, train_one

log = logging.getLogger(__name__)


def run(workspace: Workspace, params: Params) -> None:
    """Makes data/train. A run that was killed leaves nothing behind and is simply run again."""
    began = time.perf_counter()
    jobs = plan_jobs(params.train)
    inputs = load_inputs(workspace, params)
    loaded = time.perf_counter()
    if inputs.base is not None:
        log.info("normalised by %s, which the data %s", params.train.base_statistics, inputs.base.comparison.verdict)
    with replace_dir(workspace.train) as folder:
        done = train_all(jobs, inputs, params.train, folder)
        write_text(folder / "loss.csv", _loss_csv(done))
        write_json(folder / "metrics.json", {one.name: one.validations[-1] for one in done})
        if inputs.base is not None:
            inputs.base.write_report(folder)
    for one in done:
        log.info("%-10s val loss %.4f", one.name, one.validations[-1]["val_loss"])
        workspace.journal.write("trained", **_journal_fields(one, params.train.batch_size))
    seconds = {"load_s": round(loaded - began, 3), "duration_s": round(time.perf_counter() - began, 3)}
    workspace.journal.write("training-ended", jobs=len(done), **seconds)


def train_all(jobs: Sequence[Job], inputs: Inputs, params: Train, folder: Path) -> list[Trained]:
    """Trains each job into `folder/<name>`; returns them in the order of `jobs`.

    Workers are forked, so that torch is loaded once; this process has run no torch operation yet that would have
    started threads. Frames they share by mapping one cache.
    """
    context = multiprocessing.get_context("fork")
    count = min(workers(), len(jobs))
    initargs = (inputs, params, folder, os.getpid())
    with ProcessPoolExecutor(count, mp_context=context, initializer=_begin, initargs=initargs) as pool:
        try:
            pending = [pool.submit(_train, job, index) for index, job in enumerate(jobs)]
            return [future.result() for future in pending]
        except BrokenProcessPool as error:
            raise StageFailed(
                "a training process was killed", hint="Was memory short? Set GRIPLINE_WORKERS=1 and run again"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_shared: tuple[Inputs, Train, Path] | None = None


def _begin(inputs: Inputs, params: Train, folder: Path, parent_pid: int) -> None:
    global _shared
    die_with_parent(parent_pid)
    # One thread a job: sums are then taken in one order, whatever the number of cores.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    _shared = (inputs, params, folder)


def _train(job: Job, position: int) -> Trained:
    if _shared is None:
        raise StageFailed("the training process was not set up")
    inputs, params, folder = _shared
    return train_one(job, inputs, params, folder / job.name, position=position)


def _loss_csv(done: Sequence[Trained]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "name", "loss", "val_loss"])
    for one in done:
        writer.writerows([int(row["step"]), one.name, row["loss"], row["val_loss"]] for row in one.validations)
    return text.getvalue()


def _journal_fields(one: Trained, batch_size: int) -> dict[str, str | float]:
    seconds = max(one.seconds, 1e-9)
    return {
        "name": one.name,
        "checkpoint": one.digest,
        "steps": one.steps,
        "duration_s": round(one.seconds, 3),
        "samples_per_s": round(one.steps * batch_size / seconds, 1),
        "data_share": round(one.loading_seconds / seconds, 4),
    }
