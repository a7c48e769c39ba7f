"""How the jobs of a run are trained: side by side in processes of their own, or one after the other over several."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from components.core.children import die_with_parent
from components.core.errors import StageFailed
from components.core.params import Train, workers
from components.train.distributed import agreed, is_first
from components.train.inputs import Inputs
from components.train.jobs import Job
from components.train.outcome import Trained
from components.train.placement import placement_of
from components.train.ranks import launch, set_up_torch
from components.train.train import train_one
from components.train.work import finish, finished

log = logging.getLogger(__name__)


def train_all(jobs: Sequence[Job], inputs: Inputs, params: Train, folder: Path) -> list[Trained]:
    """Trains each job into `folder/<name>` that is not done there yet; returns them in the order of `jobs`.

    Workers are forked, so that torch is loaded once; this process has run no torch operation yet that would have
    started threads. Frames they share by mapping one cache. A GPU takes one job after the other.
    """
    context = multiprocessing.get_context("fork")
    accelerator = placement_of(params).accelerator
    count = min(workers(), len(jobs)) if accelerator == "cpu" else 1
    initargs = (inputs, params, folder, os.getpid(), accelerator)
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


def train_in_turn(jobs: Sequence[Job], params: Train, folder: Path) -> list[Trained]:
    """The same with every job over all processes of `params.strategy`, which are started here for each."""
    done = []
    for job in jobs:
        if _earlier(folder, job) is None:
            launch(job.name, folder, placement_of(params))
        one = finished(folder, job)
        if one is None:
            raise StageFailed(f"the processes of job {job.name} ended and left no result")
        done.append(one)
    return done


def train_as_one_of_several(jobs: Sequence[Job], inputs: Inputs, params: Train, folder: Path) -> list[Trained]:
    """The same in a process that torchrun or SLURM started; all of them call it."""
    done = []
    for job in jobs:
        one = agreed(_earlier(folder, job) if is_first() else None)
        if one is None:
            one = train_one(job, inputs, params, folder / job.name)
            if is_first():
                finish(folder, one)
        done.append(one)
    return done


_shared: tuple[Inputs, Train, Path] | None = None


def _begin(inputs: Inputs, params: Train, folder: Path, parent_pid: int, accelerator: str) -> None:
    global _shared
    die_with_parent(parent_pid)
    set_up_torch(accelerator)
    _shared = (inputs, params, folder)


def _train(job: Job, position: int) -> Trained:
    if _shared is None:
        raise StageFailed("the training process was not set up")
    inputs, params, folder = _shared
    done = _earlier(folder, job)
    if done is None:
        done = train_one(job, inputs, params, folder / job.name, position=position)
        finish(folder, done)
    return done


def _earlier(folder: Path, job: Job) -> Trained | None:
    """What an earlier run made of the job."""
    done = finished(folder, job)
    if done is not None:
        log.info("%-10s was trained by an earlier run", job.name)
    return done
