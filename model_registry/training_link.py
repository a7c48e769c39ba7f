"""From a registered bundle to the training that made its checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.core.errors import RecordError
from components.core.records import read_record
from components.core.workspace import Workspace
from model_registry.training_runs import CHECKPOINT, TRAINING_EXPERIMENT

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

TRAINING_RUN = "gripline.training_run"
_CURVES = "curves.png"


def training_run_of(client: MlflowClient, checkpoint: str) -> Run | None:
    """The run of the job that made a checkpoint, None where its training was not logged."""
    experiment = client.get_experiment_by_name(TRAINING_EXPERIMENT)
    if experiment is None:
        return None
    query = f"tags.`{CHECKPOINT}` = '{checkpoint}'"
    found = client.search_runs([experiment.experiment_id], filter_string=query, max_results=1)
    return found[0] if found else None


def link_training(client: MlflowClient, workspace: Workspace, run_id: str, checkpoint: str) -> None:
    """Gives the run of a bundle the id of its training's run as a tag, and the learning curves of that training."""
    run = training_run_of(client, checkpoint)
    if run is not None:
        client.set_tag(run_id, TRAINING_RUN, run.info.run_id)
    curves = workspace.train / _CURVES
    if curves.is_file() and checkpoint in _checkpoints(workspace):
        client.log_artifact(run_id, str(curves))


def _checkpoints(workspace: Workspace) -> set[str]:
    """Digests of those in data/train; what cannot be read there made no bundle."""
    found = set()
    for path in workspace.train.glob("*/record.json"):
        try:
            found.add(read_record(path.parent, "checkpoint").digest)
        except RecordError:
            continue
    return found
