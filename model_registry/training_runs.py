"""Trainings in MLflow: one run for the stage, one below it for each job, and what each of them logs once."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core.files import digest_json
from model_registry.training_files import JobFiles, TrainingFiles
from model_registry.training_lines import KINDS, batches, metrics_of, new_lines

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

TRAINING_EXPERIMENT = "gripline-training"
TRAINING, JOB, CHECKPOINT = "gripline.training", "gripline.job", "gripline.checkpoint"
_PARENT = "mlflow.parentRunId"
# What MLflow takes in one call, and of one value.
_MOST_PARAMS, _LONGEST_PARAM = 100, 6000
# Of a finished job, and of a finished stage; what is drawn again at each validation is logged in its last state.
_OF_JOB, _OF_STAGE = ("action_errors.json", "record.json"), ("curves.png", "loss.csv", "action_errors.csv")
_LOOKS = "looks"


class TrainingRuns:
    """Logs what is new. What MLflow holds is asked once for each run, so that a tail that was killed goes on."""

    def __init__(self, client: MlflowClient, experiment_id: str) -> None:
        self._client, self._experiment = client, experiment_id
        self._runs: dict[tuple[str, str, str], str] = {}
        self._status: dict[str, str] = {}
        self._last: dict[str, dict[str, int]] = {}
        self._artifacts: dict[str, set[str]] = {}

    def log(self, training: TrainingFiles) -> dict[str, str]:
        """Everything that the files say and MLflow does not. Gives the ids of {"experiment", "run"} of the stage."""
        parent = self._run(training, None)
        for job in training.jobs:
            self._log_job(self._run(training, job, parent), training, job)
        if training.overview is not None:
            self._log_files(parent, [training.overview / name for name in _OF_STAGE])
        self._set_status(parent, _status(training.is_done, training.alive))
        return {"experiment": self._experiment, "run": parent}

    def _log_job(self, run_id: str, training: TrainingFiles, job: JobFiles) -> None:
        last = self._last_steps(run_id)
        for piece in batches(new_lines(job, last)):
            self._client.log_batch(run_id, metrics=[metric for line in piece for metric in metrics_of(line)])
            last |= {kind: line["step"] for kind, line in piece}
        self._log_files(run_id, list(job.files(f"{_LOOKS}/*.png").values()), _LOOKS)
        if job.checkpoint:
            self._log_files(run_id, [path for name in _OF_JOB for path in job.files(name).values()])
        self._set_status(run_id, _status(bool(job.checkpoint), training.alive))

    def _run(self, training: TrainingFiles, job: JobFiles | None, parent: str = "") -> str:
        """The MLflow run of a stage or a job, found or made. One that ended with another checkpoint is not it."""
        name, checkpoint = (job.name, job.checkpoint) if job is not None else ("", "")
        key = (training.id, name, checkpoint)
        if key not in self._runs:
            tags = _tags(training, name, parent)
            found = next((run for run in self._search(training.id, name) if _may_be(run, checkpoint)), None)
            title = name or f"training-{training.id[:8]}"
            run = found or self._client.create_run(self._experiment, run_name=title, tags=tags)
            run_id = self._runs[key] = str(run.info.run_id)
            self._status[run_id] = str(run.info.status)
            # Again where a killed tail was not done with it: the same values change nothing.
            self._log_params(run_id, training.params)
            if checkpoint:
                self._client.set_tag(run_id, CHECKPOINT, checkpoint)
        return self._runs[key]

    def _search(self, training_id: str, job: str) -> list[Run]:
        query = f"tags.`{TRAINING}` = '{training_id}' and tags.`{JOB}` = '{job}'"
        return list(self._client.search_runs([self._experiment], filter_string=query, max_results=100))

    def _log_params(self, run_id: str, params: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        flat = [Param(key, value[:_LONGEST_PARAM]) for key, value in flattened(params)]
        for start in range(0, len(flat), _MOST_PARAMS):
            self._client.log_batch(run_id, params=flat[start : start + _MOST_PARAMS])

    def _last_steps(self, run_id: str) -> dict[str, int]:
        if run_id not in self._last:
            steps = {
                kind: max((metric.step for metric in self._client.get_metric_history(run_id, key)), default=-1)
                for kind, key in KINDS.items()
            }
            self._last[run_id] = steps
        return self._last[run_id]

    def _log_files(self, run_id: str, paths: list[Path], folder: str | None = None) -> None:
        names = self._artifact_names(run_id)
        for path in paths:
            name = f"{folder}/{path.name}" if folder else path.name
            if name not in names and path.is_file():
                self._client.log_artifact(run_id, str(path), folder)
                names.add(name)

    def _artifact_names(self, run_id: str) -> set[str]:
        if run_id not in self._artifacts:
            found = [*self._client.list_artifacts(run_id), *self._client.list_artifacts(run_id, _LOOKS)]
            self._artifacts[run_id] = {item.path for item in found if not item.is_dir}
        return self._artifacts[run_id]

    def _set_status(self, run_id: str, status: str) -> None:
        if self._status.get(run_id) == status:
            return
        if status == "RUNNING":
            self._client.update_run(run_id, status=status)
        else:
            self._client.set_terminated(run_id, status)
        self._status[run_id] = status


def flattened(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(name with dots, text) of each value; lists as JSON."""
    for key, value in params.items():
        if isinstance(value, Mapping) and value:
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)


def _may_be(run: Run, checkpoint: str) -> bool:
    return not checkpoint or run.data.tags.get(CHECKPOINT, checkpoint) == checkpoint


def _status(done: bool, alive: bool) -> str:
    return "FINISHED" if done else "RUNNING" if alive else "KILLED"


def _tags(training: TrainingFiles, job: str, parent: str) -> dict[str, str]:
    links = {f"gripline.{role}": digest for role, digest in training.inputs.items()}
    own = {TRAINING: training.id, JOB: job, "gripline.params": digest_json(dict(training.params))}
    return {**links, **own, **({_PARENT: parent} if parent else {})}
