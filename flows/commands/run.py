"""run, doctor, ui."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.commands.options import Json


def add_to(app: typer.Typer) -> None:
    app.command("run")(run)
    app.command("doctor")(doctor)
    app.command("ui")(ui)


def run(
    json: Json = False,
    rollout: Annotated[bool, typer.Option(help="Register and roll out what passed the gate.")] = True,
    keep_serving: Annotated[bool, typer.Option(help="Leave the servers running at the end.")] = False,
) -> None:
    """Do the main job: bring data, policies and rollout up to date, and say what was done.

    Recordings in data/raw are used; where there are none, simulated robot cells record some.
    """
    from components.core.workspace import find_workspace
    from flows.main_job import main_job
    from flows.output import emit, results_only
    from flows.summary import as_text

    with results_only() as stdout:
        summary = main_job(find_workspace(), rollout=rollout, keep_serving=keep_serving)
        emit(stdout, summary, as_json=json, text=as_text(summary))
    if summary["exit_code"]:
        raise typer.Exit(summary["exit_code"])


def doctor(json: Json = False) -> None:
    """Say what is installed, what is missing, and the command that mends it."""
    from flows.doctor import examine
    from flows.output import emit, results_only, table

    with results_only() as stdout:
        found = examine()
        rows = [["ok" if item["ok"] else "MISSING", item["name"], item["found"], item["mend"]] for item in found]
        text = table(["", "what", "found", "mend it with"], rows)
        emit(stdout, {"ok": all(item["ok"] for item in found), "checks": found}, as_json=json, text=text)
    if not all(item["ok"] for item in found):
        raise typer.Exit(4)


def ui(
    port: Annotated[int, typer.Option(help="First of the ports; 0 takes free ones.")] = 0,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page that links them.")] = False,
) -> None:
    """Serve the MLflow UI, the Prefect UI and the reports on loopback until Ctrl-C."""
    from components.core.workspace import find_workspace
    from flows.ui import serve_ui

    serve_ui(find_workspace(), port=port, open_browser=open_browser)
