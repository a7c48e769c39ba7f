"""Model versions in MLflow: one version per bundle digest, every link of its chain as a tag, aliases for its state."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core.errors import GateRefused, LineageError, UsageError
from components.core.workspace import Workspace
from model_registry.snapshot import Snapshot, open_snapshot, take_snapshot
from model_registry.training_link import link_training

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion
    from mlflow.tracking import MlflowClient

ALIASES = ("candidate", "canary", "champion")
EXPERIMENT = "gripline"
_PREFIX = "gripline."


@dataclass(frozen=True)
class ModelVersion:
    """One registered bundle. `path`: where its files are kept; `tags` without the "gripline." prefix."""

    version: str
    digest: str
    path: Path
    tags: dict[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()

    @property
    def drill(self) -> bool:
        """A drill may be rolled out to prove the rollback, and is never promoted."""
        return self.tags.get("drill") == "true"


class Registry:
    """Opens the MLflow store of a workspace. Cheap to construct: mlflow is imported at the first use."""

    def __init__(self, workspace: Workspace, model: str) -> None:
        self.workspace = workspace
        self.model = model
        self._client: MlflowClient | None = None

    @property
    def uri(self) -> str:
        """SQLite in the workspace, or what MLFLOW_TRACKING_URI says."""
        return os.environ.get("MLFLOW_TRACKING_URI") or self.workspace.mlflow_uri

    @property
    def client(self) -> MlflowClient:
        if self._client is None:
            self._client = self.init()
        return self._client

    def ensure_store(self, *more: str) -> MlflowClient:
        """Creates the store and the experiments, `more` beside our own, under a lock.

        Parallel first touches break a fresh SQLite file.
        """
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow.tracking import MlflowClient

        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        with self._lock():
            client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
            for experiment in (EXPERIMENT, *more):
                if client.get_experiment_by_name(experiment) is None:
                    location = self.workspace.mlflow_artifacts.resolve().as_uri()
                    client.create_experiment(experiment, artifact_location=location)
        return client

    def init(self) -> MlflowClient:
        """The store with this registered model in it."""
        from mlflow.exceptions import MlflowException

        client = self.ensure_store()
        with self._lock():
            try:
                client.get_registered_model(self.model)
            except MlflowException:
                client.create_registered_model(self.model, description="A robot policy and its whole history.")
        return client

    @contextmanager
    def _lock(self) -> Iterator[None]:
        path = self.workspace.state / "mlflow" / "init.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def register(self, bundle: Path, *, drill: bool = False) -> ModelVersion:
        """Makes a bundle a model version. Again with the same bundle: the same version, nothing written.

        Raises `LineageError` where the records do not lead from the bundle back to its episodes.
        """
        snapshot = take_snapshot(self.workspace, bundle)
        known = self.by_digest(snapshot.digest)
        if known is not None:
            return known
        tags = _tags(snapshot, drill=drill)
        run_id = self._run(snapshot, tags)
        source = (self.workspace.store / snapshot.digest).resolve().as_uri()
        made = self.client.create_model_version(
            self.model, source=source, run_id=run_id, tags=tags, description=_description(snapshot)
        )
        self.workspace.journal.write(
            "register", version=str(made.version), bundle=snapshot.digest, drill=drill, run=run_id
        )
        return self._wrap(made)

    def _run(self, snapshot: Snapshot, tags: dict[str, str]) -> str:
        """The MLflow run of a bundle; one that a killed registration left is finished, not doubled."""
        client = self.client
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            raise LineageError(f"no MLflow experiment {EXPERIMENT!r}", where=self.uri, hint="Was it deleted in the UI?")
        query = f"tags.`{_PREFIX}bundle` = '{snapshot.digest}'"
        found = client.search_runs([experiment.experiment_id], filter_string=query, max_results=1)
        name = f"bundle-{snapshot.digest[:8]}"
        run = found[0] if found else client.create_run(experiment.experiment_id, run_name=name, tags=tags)
        run_id = str(run.info.run_id)
        if run.info.status != "FINISHED":
            _log_run(client, run_id, snapshot, self.workspace.store / snapshot.digest)
            link_training(client, self.workspace, run_id, snapshot.record("checkpoint").digest)
            client.set_terminated(run_id, "FINISHED")
        return run_id

    def versions(self) -> list[ModelVersion]:
        """Every version, oldest first."""
        found = self.client.search_model_versions(f"name = '{self.model}'", max_results=10_000)
        return sorted((self._wrap(item) for item in found), key=lambda item: int(item.version))

    def by_digest(self, digest: str) -> ModelVersion | None:
        query = f"name = '{self.model}' AND tags.`{_PREFIX}bundle` = '{digest}'"
        found = self.client.search_model_versions(query, max_results=1)
        # A search leaves the aliases out.
        return self.get(str(found[0].version)) if found else None

    def get(self, version: str) -> ModelVersion:
        from mlflow.exceptions import MlflowException

        try:
            return self._wrap(self.client.get_model_version(self.model, version))
        except MlflowException as error:
            known = ", ".join(item.version for item in self.versions()) or "none"
            raise UsageError(f"no version {version!r} of {self.model}; there are: {known}") from error

    def alias(self, name: str) -> ModelVersion | None:
        """The version that an alias points to, or None."""
        from mlflow.exceptions import MlflowException

        _require_alias(name)
        try:
            return self._wrap(self.client.get_model_version_by_alias(self.model, name))
        except MlflowException:
            return None

    def set_alias(self, name: str, version: str) -> None:
        """Moves an alias. "champion" is refused to a drill, to a version without a passed gate, and to an orphan."""
        _require_alias(name)
        if name == "champion":
            self.require_promotable(version)
        self.client.set_registered_model_alias(self.model, name, version)
        self.workspace.journal.write("alias", alias=name, version=version)

    def drop_alias(self, name: str) -> None:
        _require_alias(name)
        if self.alias(name) is not None:
            self.client.delete_registered_model_alias(self.model, name)
            self.workspace.journal.write("alias", alias=name, version="")

    def require_promotable(self, version: str) -> None:
        found = self.get(version)
        if found.drill:
            raise GateRefused(f"version {version} is a rollback drill and is never promoted")
        snapshot = open_snapshot(self.workspace, found.digest)
        if not snapshot.gate.get("passed"):
            reasons = "; ".join(snapshot.gate.get("reasons", [])) or "it was never evaluated"
            raise GateRefused(f"version {version} did not pass the gate: {reasons}")
        for kind in ("bundle", "checkpoint", "checks", "dataset"):
            snapshot.record(kind)
        if not snapshot.episodes_file.is_file():
            raise LineageError(f"version {version} is an orphan: its training episodes are not on record")

    def tag(self, version: str, key: str, value: str) -> None:
        self.client.set_model_version_tag(self.model, version, f"{_PREFIX}{key}", value)

    def _wrap(self, item: MlflowVersion) -> ModelVersion:
        tags = {key.removeprefix(_PREFIX): value for key, value in item.tags.items() if key.startswith(_PREFIX)}
        digest = tags.get("bundle", "")
        aliases = tuple(sorted(item.aliases or ()))
        return ModelVersion(str(item.version), digest, self.workspace.store / digest, tags, aliases)


def _require_alias(name: str) -> None:
    if name not in ALIASES:
        raise UsageError(f"no alias {name!r}; aliases are {', '.join(ALIASES)}")


def _tags(snapshot: Snapshot, *, drill: bool) -> dict[str, str]:
    """sha256 digests do not fit MLflow's own dataset digest (36 characters), so every link is a tag."""
    checkpoint = snapshot.record("checkpoint")
    links = {
        "bundle": snapshot.digest,
        "checkpoint": checkpoint.digest,
        "dataset": checkpoint.inputs["dataset"],
        "verdicts": checkpoint.inputs["verdicts"],
        "params": checkpoint.params_digest,
        "gate": "passed" if snapshot.gate.get("passed") else "none" if not snapshot.gate else "refused",
        "drill": str(drill).lower(),
    }
    derived_from = snapshot.record("bundle").attrs.get("derived_from")
    if derived_from:
        links["derived_from"] = str(derived_from)
    return {f"{_PREFIX}{key}": value for key, value in links.items()}


def _description(snapshot: Snapshot) -> str:
    checkpoint = snapshot.record("checkpoint")
    episodes = int(checkpoint.counts.get("episodes", 0))
    return (
        f"Bundle {snapshot.digest[:12]}, trained on {episodes} episodes of dataset {checkpoint.inputs['dataset'][:12]}."
    )


def _log_run(client: MlflowClient, run_id: str, snapshot: Snapshot, bundle: Path) -> None:
    from mlflow.entities import Metric, Param
    from mlflow.utils.time import get_current_time_millis

    checkpoint = snapshot.record("checkpoint")
    at = get_current_time_millis()
    metrics = _metrics(snapshot, checkpoint.counts)
    client.log_batch(
        run_id,
        metrics=[Metric(key, value, at, 0) for key, value in sorted(metrics.items())],
        params=[Param(key, str(value)) for key, value in sorted(checkpoint.params.items())],
    )
    for name in ("card.md", "parity.json", "contract.json"):
        if (bundle / name).is_file():
            client.log_artifact(run_id, str(bundle / name))
    for path in sorted(snapshot.folder.glob("*.json")):
        client.log_artifact(run_id, str(path))


def _metrics(snapshot: Snapshot, counts: dict[str, float]) -> dict[str, float]:
    metrics = {f"train/{key}": float(value) for key, value in counts.items()}
    evaluation: dict[str, Any] = snapshot.evaluation
    for task, row in evaluation.get("tasks", {}).items():
        metrics[f"success/{task}"] = float(row["rate"])
    if isinstance(evaluation.get("mean"), int | float):
        metrics["success/mean"] = float(evaluation["mean"])
    return metrics
