"""track: trainings into MLflow, also those that ran without it."""

from __future__ import annotations

import typer

from flows.commands.options import Json


def add_to(app: typer.Typer) -> None:
    app.command("track")(track)


def track(json: Json = False) -> None:
    """Log trainings into MLflow: what data/train holds, and one that is under way until it ends.

    `gripline run` and `gripline train` do so by themselves; after `dvc repro` this makes up for it. Nothing is logged
    twice.
    """
    from components.core.workspace import find_workspace
    from flows.output import emit, results_only
    from model_registry.tail import Tail, follow, one_tail

    with results_only() as stdout:
        workspace = find_workspace()
        with one_tail(workspace):
            tail = Tail(workspace)
            found = tail.look(again=True)
            if any(one.alive for one in found):
                follow(tail, lambda: not any(one.alive for one in tail.found()))
                found = tail.look(again=True)
        lines = [f"{one.id[:12]} {', '.join(job.name for job in one.jobs)}" for one in found]
        rows = [{"training": one.id, "done": one.is_done, "jobs": [job.name for job in one.jobs]} for one in found]
        emit(stdout, {"trainings": rows}, as_json=json, text="\n".join(lines) or "no training has left anything")
