"""Trainings as files: those under way in the state folder, and the one that made data/train."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.core.errors import RecordError
from components.core.files import read_json, read_lines
from components.core.records import read_record
from components.core.training_run import ABOUT_NAME, SPEED_NAME, training_id
from components.core.workspace import Workspace

log = logging.getLogger(__name__)

METRICS, SPEED = "metrics.jsonl", SPEED_NAME
Lines = list[dict[str, Any]]


@dataclass(frozen=True)
class JobFiles:
    """One policy. `folders`: where it leaves files, the first that has one counts; `checkpoint`: digest, "" before."""

    name: str
    folders: tuple[Path, ...]
    checkpoint: str = ""

    def lines(self, name: str) -> Lines:
        """Those of metrics.jsonl or speed.jsonl so far; none where the file cannot be read."""
        path = next((folder / name for folder in self.folders if (folder / name).is_file()), None)
        try:
            return [line for line in read_lines(path) if isinstance(line, dict)] if path is not None else []
        except (OSError, ValueError) as error:
            log.warning("%s cannot be read: %s", path, error)
            return []

    def files(self, pattern: str) -> dict[str, Path]:
        """Files by name, sorted."""
        found: dict[str, Path] = {}
        for folder in reversed(self.folders):
            found |= {path.name: path for path in folder.glob(pattern) if path.is_file()}
        return dict(sorted(found.items()))


@dataclass(frozen=True)
class TrainingFiles:
    """One run of the stage. `overview`: where what was made of all jobs lies, None before; `alive`: it trains now."""

    id: str
    inputs: Mapping[str, str]
    params: Mapping[str, Any]
    jobs: tuple[JobFiles, ...] = field(default=())
    overview: Path | None = None
    alive: bool = False

    @property
    def is_done(self) -> bool:
        return self.overview is not None


def find_trainings(workspace: Workspace) -> list[TrainingFiles]:
    """All that left something, the finished one last; what cannot be read is named in the log and left out."""
    found = {one.id: one for one in _under_way(workspace.training)}
    done = _finished(workspace)
    if done is not None and not (done.id in found and found[done.id].alive):
        found.pop(done.id, None)
        found[done.id] = done
    return list(found.values())


def _under_way(folder: Path) -> Iterator[TrainingFiles]:
    for path in sorted(folder.glob(f"*/{ABOUT_NAME}")):
        try:
            about = read_json(path)
            inputs, params, alive = dict(about["inputs"]), dict(about["params"]), _runs(int(about["pid"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s cannot be read: %s", path, error)
            continue
        folders = sorted({found.parent for found in path.parent.glob("*/*.jsonl")})
        jobs = tuple(JobFiles(job.name, (job,)) for job in folders)
        yield TrainingFiles(training_id(inputs, params), inputs, params, jobs, alive=alive)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _finished(workspace: Workspace) -> TrainingFiles | None:
    records = {}
    for path in sorted(workspace.train.glob("*/record.json")):
        try:
            records[path.parent] = read_record(path.parent, "checkpoint")
        except (RecordError, OSError) as error:
            log.warning("%s", error)
    if not records:
        return None
    # All jobs of a stage have the same inputs and params.
    first = next(iter(records.values()))
    name = training_id(first.inputs, first.params)
    jobs = tuple(
        JobFiles(place.name, (place, workspace.speed / name / place.name), record.digest)
        for place, record in records.items()
    )
    return TrainingFiles(name, first.inputs, first.params, jobs, workspace.train)
