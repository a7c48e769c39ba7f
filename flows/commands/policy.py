"""train, export, evaluate, gate: the stages, run in the workspace whether or not DVC would."""

from __future__ import annotations

import typer

from flows.commands.options import Json


def add_to(app: typer.Typer) -> None:
    for command in (train, export, evaluate, gate):
        app.command(command.__name__)(command)


def train() -> None:
    """Train the policies of params.yaml, and the blind, wordless and untrained ones they are compared with."""
    from components.core.workspace import find_workspace
    from flows.tracking import tracked

    with tracked(find_workspace()):
        _stage("components.train")


def export() -> None:
    """Export every checkpoint as a sealed policy bundle, parity recorded."""
    _stage("components.export")


def evaluate() -> None:
    """Run every bundle in closed loop in the simulated cells."""
    _stage("components.evaluate")


def gate(json: Json = False) -> None:
    """Say which policies may become champion; exit 1 where none may."""
    from components.core.files import read_json
    from components.core.workspace import find_workspace
    from flows.output import emit, results_only

    with results_only() as stdout:
        _stage("components.evaluate.gate")
        policies = read_json(find_workspace().gate / "verdict.json")["policies"]
        passed = [name for name, entry in policies.items() if entry["passed"]]
        lines = [
            f"{name}: {'passed' if e['passed'] else 'refused: ' + '; '.join(e['reasons'])}"
            for name, e in policies.items()
        ]
        emit(stdout, {"passed": bool(passed), "policies": policies}, as_json=json, text="\n".join(lines))
    if not passed:
        raise typer.Exit(1)


def _stage(module: str) -> None:
    import subprocess
    import sys

    from components.core.workspace import find_workspace

    done = subprocess.run([sys.executable, "-m", module], cwd=find_workspace().root, check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)
