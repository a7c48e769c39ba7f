"""`gripline run`: nothing where nothing changed, otherwise the nightly flow against a local Prefect server."""

from __future__ import annotations

import time
from typing import Any

from components.core.params import load_params
from components.core.workspace import Workspace
from flows.pipeline import STAGES, changed_stages, one_writer


def main_job(workspace: Workspace, *, rollout: bool = True, keep_serving: bool = False) -> dict[str, Any]:
    """Brings the workspace up to date and gives the summary of what was done.

    Raises the error of the stage that failed; its exit code is the command's.
    """
    from flows.release import settled
    from flows.summary import collect, write_page

    started = time.monotonic()
    params = load_params(workspace.root / "params.yaml")
    # Asking DVC and the registry costs seconds, so each is asked once, and the registry only where it matters.
    current = not _stale(workspace)
    releases = settled(workspace, params) if current else None
    if releases is not None or (current and not rollout):
        stages = dict.fromkeys(STAGES, "unchanged")
        summary = collect(workspace, stages, releases or [], time.monotonic() - started)
        write_page(workspace, summary)
        return summary
    from flows.prefect_server import prefect_api

    with prefect_api(workspace):
        from flows.nightly import flush_logs, nightly

        done = nightly(str(workspace.root), rollout=rollout, keep_serving=keep_serving)
        flush_logs()
    workspace.journal.write("run", seconds=round(time.monotonic() - started, 1), params=params.model_dump(mode="json"))
    summary = collect(workspace, done["stages"], done["releases"], time.monotonic() - started)
    write_page(workspace, summary)
    return summary


def _stale(workspace: Workspace) -> list[str]:
    with one_writer(workspace):
        return changed_stages(workspace)
