"""Where things lie in a workspace. The only place that spells these paths in Python; dvc.yaml spells them too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from components.core.errors import UsageError
from components.core.journal import Journal


@dataclass(frozen=True)
class Workspace:
    """A folder that holds params.yaml and dvc.yaml."""

    root: Path

    @property
    def robots(self) -> Path:
        """A team's own embodiments, NAME.yaml, and mappings, maps/NAME.yaml."""
        return self.root / "robots"

    # Outputs of the DVC stages.
    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def raw(self) -> Path:
        return self.data / "raw"

    @property
    def planted(self) -> Path:
        """Which faults the recorder planted where; for tests only, read by no stage."""
        return self.data / "planted.json"

    @property
    def dataset(self) -> Path:
        return self.data / "dataset"

    @property
    def checks(self) -> Path:
        return self.data / "checks"

    @property
    def check_docs(self) -> Path:
        return self.data / "check_docs"

    @property
    def train(self) -> Path:
        return self.data / "train"

    @property
    def bundles(self) -> Path:
        return self.data / "bundles"

    @property
    def evaluation(self) -> Path:
        return self.data / "evaluation"

    @property
    def gate(self) -> Path:
        return self.data / "gate"

    # State outside DVC.
    @property
    def state(self) -> Path:
        return self.root / ".gripline"

    @property
    def frame_cache(self) -> Path:
        """Decoded frames, shared by jobs and kept for the next run on the same dataset."""
        return self.state / "cache" / "frames"

    @property
    def training(self) -> Path:
        """Runs of the stage train that are under way: `<key>/<job>/` holds metrics.jsonl and states to go on from."""
        return self.state / "train"

    @property
    def speed(self) -> Path:
        """What finished runs of the stage train said of their speed: `<id>/<job>/speed.jsonl`."""
        return self.state / "speed"

    @property
    def journal(self) -> Journal:
        return Journal(self.state / "journal")

    @property
    def accepted(self) -> Path:
        """Profiles of the dataset versions that passed their checks, in order."""
        return self.state / "accepted"

    @property
    def mlflow_uri(self) -> str:
        return f"sqlite:///{self.state / 'mlflow' / 'mlflow.db'}"

    @property
    def training_run(self) -> Path:
        """Which run of MLflow the training in data/train is, for pages that link it."""
        return self.state / "mlflow" / "training.json"

    @property
    def mlflow_artifacts(self) -> Path:
        return self.state / "mlflow" / "artifacts"

    @property
    def store(self) -> Path:
        """Content-addressed bundles that were registered: `store/<bundle digest>/`."""
        return self.state / "store"

    @property
    def serving(self) -> Path:
        return self.state / "serving"

    @property
    def rollouts(self) -> Path:
        return self.state / "rollouts"

    @property
    def lineage_db(self) -> Path:
        return self.state / "lineage.db"

    @property
    def reports(self) -> Path:
        return self.root / "reports"


def find_workspace(start: Path | None = None) -> Workspace:
    """The nearest folder at or above `start` that holds params.yaml."""
    origin = (start or Path.cwd()).resolve()
    for folder in (origin, *origin.parents):
        if (folder / "params.yaml").is_file():
            return Workspace(folder)
    raise UsageError(f"no params.yaml in {origin} or above it", hint="Run inside a gripline workspace")


def beside(dataset: Path, made: str) -> Path:
    """Where what is made of a dataset lies by default: `made` is card, checks or views."""
    return dataset.with_name(f"{dataset.name}-{made}")
