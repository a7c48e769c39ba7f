"""Finishes or reverts rollouts whose owner died. Prefect's own rollback hooks do not run after SIGKILL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow

from components.core.params import load_params
from components.core.workspace import find_workspace
from flows import release


@flow(name="reconcile", log_prints=False)
def reconcile(workspace: str = ".") -> list[dict[str, Any]]:
    """One entry per rollout that was taken over; empty where nothing was left behind."""
    found = find_workspace(Path(workspace))
    return release.finish_left_behind(found, load_params(found.root / "params.yaml"))
