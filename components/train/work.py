"""The work folder of a run of the stage: `.gripline/train/<key>/`, where jobs lie until data/train is in place."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import lightning
import torch
from filelock import FileLock, Timeout

from components.core.errors import Busy
from components.core.files import digest_json, sha256_file, write_json
from components.core.params import Train
from components.core.training_run import SPEED_NAME
from components.core.workspace import Workspace
from components.train.inputs import Inputs
from components.train.jobs import Job
from components.train.outcome import Trained, mark_done, read_done
from components.train.placement import placement_of
from components.train.policies import BESIDE
from components.train.states import STATES

RUNNING = "running.json"
_LOCK = ".lock"
# Whose code decides what a training makes.
_CODE = ("core", "transforms", "dataset", "policy", "train")


@cache
def code_digest() -> str:
    """sha256 over the source files that decide the result."""
    root = Path(__file__).parents[1]
    files = sorted(path for name in _CODE for path in (root / name).rglob("*") if path.suffix in (".py", ".yaml"))
    lines = [f"{path.relative_to(root).as_posix()} {sha256_file(path)}\n" for path in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def run_key(inputs: Inputs, params: Train) -> str:
    """Names a run by all that its results follow from; states under one name may be gone on from."""
    libraries = {"torch": torch.__version__, "lightning": lightning.__version__}
    accelerator = placement_of(params).accelerator
    held = {"inputs": inputs.digests, "params": params.model_dump(mode="json"), "accelerator": accelerator}
    return digest_json({**held, "code": code_digest(), "libraries": libraries})[:32]


@contextmanager
def work_folder(workspace: Workspace, key: str, jobs: Sequence[Job]) -> Iterator[Path]:
    """The folder of this run, which goes when the block ends without an error. Raises `Busy` for a second run.

    running.json beside it names the run. Of other runs that never came to their end the last one stays, so that params
    may be changed and changed back; older ones go.
    """
    root, folder = workspace.training, workspace.training / key
    root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(root / _LOCK, blocking=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise Busy("another process is training in this workspace", where=str(root), hint="Wait for it") from error
    with lock:
        others = [path for path in root.iterdir() if path.is_dir() and path != folder]
        for path in sorted(others, key=lambda path: path.stat().st_mtime)[:-1]:
            shutil.rmtree(path, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        os.utime(folder)
        write_json(root / RUNNING, {"folder": key, "jobs": [job.name for job in jobs]})
        yield folder
        (root / RUNNING).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def finish(folder: Path, one: Trained) -> None:
    """Marks a job as done; then its states are of no more use."""
    mark_done(folder / f"{one.name}.json", one)
    shutil.rmtree(folder / one.name / STATES, ignore_errors=True)


def finished(folder: Path, job: Job) -> Trained | None:
    """What became of a job that an earlier run finished."""
    return read_done(folder / f"{job.name}.json")


def collect(folder: Path, job: Job, target: Path) -> None:
    """The output of a finished job as `target/<name>`; it stays where it lies until the whole run is in place."""
    for source in (folder / job.name, *sorted(folder.glob(f"{job.name}{BESIDE}*"))):
        left_out = shutil.ignore_patterns(STATES, SPEED_NAME)
        shutil.copytree(source, target / source.name, ignore=left_out, copy_function=_link_or_copy)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
