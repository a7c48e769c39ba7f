"""One job over several processes: how they are started, and what each of them runs.

    python -m components.train.ranks FOLDER JOB PARENT

is run by the stage as many times as there are devices, with the rank in its environment (torch's elastic launcher).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from components.core.children import die_with_parent
from components.core.errors import StageFailed, UsageError
from components.core.params import Params
from components.core.stage import stage_main
from components.core.workspace import Workspace
from components.train.allocator import keep_memory
from components.train.distributed import is_first, join, launched_from_outside
from components.train.inputs import load_inputs
from components.train.jobs import plan_jobs
from components.train.placement import Placement, placement_of
from components.train.train import train_one
from components.train.work import finish


def launch(job: str, folder: Path, placement: Placement) -> None:
    """Trains a job of the plan into `folder/<job>`, over the devices of this machine. Blocks until all have ended.

    Raises `UsageError` for several nodes, which no process can start alone, `StageFailed` where one process fails.
    """
    if placement.nodes > 1:
        raise UsageError(
            f"train.strategy.nodes is {placement.nodes} and nobody started this process on each of them",
            hint=f"On each node run: torchrun --nnodes {placement.nodes} --nproc-per-node {placement.devices} "
            "--rdzv-backend c10d --rdzv-endpoint HOST:PORT -m components.train; or start it with srun",
        )
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=placement.devices,
        run_id=f"{folder.name}-{job}",
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        max_restarts=0,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "components.train.ranks", str(folder), job, str(os.getpid()))
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        raise StageFailed(
            f"process {rank} of job {job} ended with exit code {failure.exitcode}",
            hint="What it said stands above; run again to go on from the last state",
        ) from error


def become_one_of_several(placement: Placement) -> None:
    """Joins the others that torchrun or SLURM started. Raises `UsageError` where they are not as many as planned."""
    environment = launched_from_outside()
    found = environment.world_size() if environment else 1
    if environment is None or found != placement.world:
        raise UsageError(
            f"started as one of {found} processes, planned are {placement.world} "
            "(train.strategy.devices x train.strategy.nodes)",
            hint="Start as many as the params say",
        )
    set_up_torch(placement.accelerator)
    join(environment, placement.accelerator)


def set_up_torch(accelerator: str) -> None:
    """On a CPU sums are taken in one order, whatever the number of cores."""
    keep_memory()
    if accelerator == "cpu":
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True)


def _run(workspace: Workspace, params: Params) -> None:
    folder, name, parent = sys.argv[1:]
    die_with_parent(int(parent))
    become_one_of_several(placement_of(params.train))
    job = next(job for job in plan_jobs(params.train) if job.name == name)
    one = train_one(job, load_inputs(workspace, params), params.train, Path(folder) / name)
    if is_first():
        finish(Path(folder), one)


if __name__ == "__main__":
    stage_main(_run)
