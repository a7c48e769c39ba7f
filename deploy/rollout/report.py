"""report.html and rollout.png of a rollout, in its folder; each stands alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.core.files import write_bytes, write_text
from components.core.workspace import Workspace
from deploy.rollout.facts import Facts, gather
from deploy.rollout.figure import draw

REPORT_NAME = "report.html"
PICTURE_NAME = "rollout.png"
_HEAD = frozenset({"at", "seq", "epoch", "pid", "kind", "name"})


def write_report(workspace: Workspace, rollout_id: str) -> Path:
    """Writes both files, in whatever phase the rollout is; returns the path of the report."""
    facts = gather(workspace, rollout_id)
    folder = workspace.rollouts / rollout_id
    write_bytes(folder / PICTURE_NAME, draw(facts, "png"))
    write_text(folder / REPORT_NAME, render(facts))
    return folder / REPORT_NAME


def render(facts: Facts) -> str:
    """The page as HTML with the picture inside."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("deploy.rollout", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    svg = draw(facts, "svg").decode()
    return environment.get_template("report.html.j2").render(
        brief=facts.state.brief,
        plan=facts.state.plan,
        verdict=facts.verdict,
        rules=facts.rules,
        stays=facts.stays,
        tables=[("task", _rows(facts.by_task), facts.by_task), ("robot", _rows(facts.by_robot), facts.by_robot)],
        arms=facts.arms,
        notes=facts.notes,
        details=_details,
        picture=svg[svg.index("<svg") :],
    )


def _rows(tallies: dict[tuple[str, str], Any]) -> list[str]:
    return sorted({row for row, _ in tallies})


def _details(note: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in sorted(note.items()) if key not in _HEAD)
