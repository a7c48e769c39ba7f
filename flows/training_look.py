"""What training left to look at, for the pages that link it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.core.files import read_json
from components.core.workspace import Workspace

_ERRORS = "-errors"


def curves_page(workspace: Workspace) -> Path:
    """The learning curves of all jobs."""
    return workspace.train / "curves.png"


def training_look(workspace: Workspace) -> dict[str, Any]:
    """{"curves", "samples", "errors", "mlflow"}: paths below the workspace, by job where there is one for each.

    "mlflow": {"experiment", "run"} of the training in data/train, empty where it was not logged.
    """
    curves, logged = curves_page(workspace), workspace.training_run
    pictures = {path.stem: _below(workspace, path) for path in sorted((workspace.train / "looks").glob("*.png"))}
    return {
        "curves": _below(workspace, curves) if curves.is_file() else "",
        "samples": {name: path for name, path in pictures.items() if not name.endswith(_ERRORS)},
        "errors": {name.removesuffix(_ERRORS): path for name, path in pictures.items() if name.endswith(_ERRORS)},
        "mlflow": dict(read_json(logged)) if logged.is_file() else {},
    }


def mlflow_page(workspace: Workspace, server: str) -> str:
    """Where the UI of MLflow at `server` shows that training; "" where it was not logged."""
    run = training_look(workspace)["mlflow"]
    return f"{server}/#/experiments/{run['experiment']}/runs/{run['run']}" if run else ""


def _below(workspace: Workspace, path: Path) -> str:
    return path.relative_to(workspace.root).as_posix()
