"""register, serve, rollout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.options import Json

if TYPE_CHECKING:
    from flows.release import Plant

Rollout = Annotated[
    str | None, typer.Argument(metavar="ROLLOUT", help="Id of a rollout; the newest where none is given.")
]
Reason = Annotated[str, typer.Option("--reason", help="Goes into the log.")]


def add_to(app: typer.Typer) -> None:
    app.command("register")(register)
    app.command("serve")(serve)
    group = typer.Typer(
        help="Roll a version out against the champion, or watch and steer a rollout.", no_args_is_help=True
    )
    for name, command in (("start", start), ("drill", drill), ("status", status), ("log", show_log)):
        group.command(name)(command)
    for action in ("pause", "resume", "abort"):
        group.command(action)(_asking(action))
    app.add_typer(group, name="rollout")


def register(bundle: Annotated[Path, typer.Argument(help="Folder of a sealed bundle.")], json: Json = False) -> None:
    """Make a bundle a model version. What the gate refused is on record too, and can never become champion."""
    from flows.output import emit, results_only

    with results_only() as stdout:
        version = _plant().registry.register(bundle)
        found = {"version": version.version, "bundle": version.digest, "tags": version.tags}
        text = f"version {version.version}: bundle {version.digest}, gate: {version.tags['gate']}"
        emit(stdout, found, as_json=json, text=text)


def serve(stop: Annotated[bool, typer.Option("--stop", help="Stop the servers.")] = False, json: Json = False) -> None:
    """Serve the champion: Triton and Envoy on loopback, in the background; restarts what died."""
    from deploy.rollout.serve import ensure_serving
    from flows.output import emit, results_only

    with results_only() as stdout:
        plant = _plant()
        if stop:
            plant.serving.stop()
        else:
            ensure_serving(plant.workspace, plant.params, serving=plant.serving, registry=plant.registry)
        found = plant.serving.status()
        text = "stopped" if stop else f"gRPC and HTTP at {plant.serving.url}"
        emit(stdout, found, as_json=json, text=text)


def start(version: Annotated[str, typer.Argument(help="Registered version.")], json: Json = False) -> None:
    """Roll a version out: shadow, canary, judged, then promoted or rolled back (exit 1)."""
    from flows.release import release_version

    _released(lambda plant: release_version(plant, version), json)


def drill(
    sigma: Annotated[float, typer.Option(help="Noise on the arm's actions; 0.5 about halves the success.")] = 0.5,
    json: Json = False,
) -> None:
    """Prove the rollback: a degraded copy of the champion is rolled out and must be found out.

    The copy can never be promoted. Exit 0 where it was rolled back by a verdict, 1 where it was not.
    """
    from flows.drill import run_drill

    _released(lambda plant: run_drill(plant, sigma), json)


def status(rollout: Rollout = None, json: Json = False) -> None:
    """Where a rollout stands, and the numbers behind it."""
    from deploy.rollout.log import load_state
    from flows.output import emit, results_only
    from flows.release import rollout_numbers

    with results_only() as stdout:
        plant = _plant()
        rollout_id = rollout or _newest(plant)
        state = load_state(plant.workspace, rollout_id)
        found = {
            "rollout": rollout_id,
            "phase": state.plan.phase.value,
            "reason": state.plan.reason,
            "candidate": state.brief.candidate.version,
            "incumbent": state.brief.incumbent.version,
            "drill": state.brief.drill,
            "numbers": rollout_numbers(plant.workspace, rollout_id),
        }
        emit(stdout, found, as_json=json, text="\n".join(f"{key}: {value}" for key, value in found.items()))


def show_log(rollout: Rollout = None) -> None:
    """Every line of a rollout's log, as JSON lines."""
    from json import dumps

    from deploy.rollout.log import read_log
    from flows.output import results_only

    with results_only() as stdout:
        plant = _plant()
        for line in read_log(plant.workspace, rollout or _newest(plant)):
            stdout.write(dumps(line, sort_keys=True) + "\n")


def _asking(action: str) -> Any:
    def ask(rollout: Rollout = None, reason: Reason = "by hand") -> None:
        import getpass

        from components.core.errors import UsageError
        from deploy.rollout.log import load_state, request

        plant = _plant()
        rollout_id = rollout or _newest(plant)
        plan = load_state(plant.workspace, rollout_id).plan
        if plan.terminal:
            raise UsageError(
                f"rollout {rollout_id} has ended: {plan.phase.value}", hint=f"There is nothing to {action}"
            )
        request(plant.workspace, rollout_id, action, reason=reason, by=getpass.getuser())
        _carry_out(plant)

    ask.__doc__ = f"{action.capitalize()} a rollout; a running controller obeys at once, otherwise it is done here."
    return ask


def _carry_out(plant: Plant) -> None:
    """Where no controller runs, this process becomes it."""
    from components.core.errors import Busy
    from flows.release import finish_left_behind

    try:
        finish_left_behind(plant.workspace, plant.params)
    except Busy as busy:
        typer.echo(f"asked its controller: {busy}", err=True)


def _released(act: Any, json: bool) -> None:
    from flows.output import emit, results_only

    with results_only() as stdout:
        plant = _plant()
        was_serving = bool(plant.serving.status().get("gateway"))
        try:
            entry = act(plant)
        finally:
            if not was_serving:
                plant.serving.stop()
        wanted = entry.pop("wanted", "promoted")
        lines = [f"version {entry['version']}: {entry['outcome']}, {entry['reason']}"]
        lines += [f"  {key}: {value}" for key, value in entry["numbers"].items()] + [entry["report"]]
        text = "\n".join(lines)
        emit(stdout, entry, as_json=json, text=text)
    if entry["outcome"] not in (wanted, "bootstrap"):
        raise typer.Exit(1)


def _newest(plant: Plant) -> str:
    from components.core.errors import UsageError
    from deploy.rollout.log import rollouts

    found = rollouts(plant.workspace)
    if not found:
        raise UsageError("there was no rollout yet", hint="Start one with `gripline rollout start VERSION`")
    return found[-1]


def _plant() -> Plant:
    from components.core.params import load_params
    from components.core.workspace import find_workspace
    from flows.release import Plant

    workspace = find_workspace()
    return Plant(workspace, load_params(workspace.root / "params.yaml"))
