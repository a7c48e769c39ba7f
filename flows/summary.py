"""What a run did and where to look: one dictionary, as text for a terminal and as the page that links everything."""

from __future__ import annotations

from importlib.resources import files
from os.path import relpath
from pathlib import Path
from typing import Any

from components.core.files import read_json, write_text
from components.core.workspace import Workspace, beside
from flows.output import table
from flows.training_look import curves_page, training_look

# Columns of `told_another`.
TOLD = ["policy", "scene of", "told", "did what it was told", "did that of the scene"]


def collect(
    workspace: Workspace, stages: dict[str, str], releases: list[dict[str, Any]], seconds: float
) -> dict[str, Any]:
    """The facts of a run, read from the outputs of its stages. `releases`: one entry per policy that may serve."""
    verdict = _read(workspace.gate / "verdict.json").get("policies", {})
    refused = bool(verdict) and not any(entry["passed"] for entry in verdict.values())
    held = [entry for entry in releases if entry["outcome"] in ("failed", "rolled_back")]
    checks = _read(workspace.checks / "checks.json")
    return {
        "exit_code": 1 if refused or held else 0,
        "seconds": round(seconds, 1),
        "stages": stages,
        "ingest": _read(workspace.data / "ingest.json"),
        "checks": {
            key: checks.get(key) for key in ("passed", "episodes", "accepted", "quarantined", "failed", "limits")
        },
        "success": _read(workspace.evaluation / "report.json").get("policies", {}),
        "training": training_look(workspace),
        "gate": verdict,
        "releases": releases,
        "look": _places(workspace, releases),
    }


def _read(path: Path) -> dict[str, Any]:
    return dict(read_json(path)) if path.is_file() else {}


def _places(workspace: Workspace, releases: list[dict[str, Any]]) -> dict[str, str]:
    places = {
        "everything on one page": workspace.reports / "index.html",
        "report of the checks": workspace.checks / "report.html",
        "Data Docs": workspace.check_docs / "index.html",
        "contact sheet of episodes": workspace.checks / "contact_sheet.png",
        "success in closed loop": workspace.evaluation / "success.png",
        "table of success": workspace.evaluation / "table.md",
    }
    if (card := card_page(workspace)).is_file():
        places["card of the dataset"] = card
    if (curves := curves_page(workspace)).is_file():
        places["learning curves"] = curves
    for entry in releases:
        if entry.get("report"):
            places[f"rollout of version {entry['version']}"] = Path(entry["report"])
    found = {name: str(path.relative_to(workspace.root)) for name, path in places.items()}
    return {**found, "MLflow UI, Prefect UI": "gripline ui"}


def card_page(workspace: Workspace) -> Path:
    """Where `gripline dataset card` puts the card of the workspace's own dataset."""
    return beside(workspace.dataset, "card") / "card.html"


def as_text(summary: dict[str, Any]) -> str:
    """The summary for a terminal."""
    parts = [_stage_line(summary["stages"]), _quarantine_text(summary), _success_table(summary)]
    parts.append(_language_table(summary))
    parts += [_release_line(entry) for entry in summary["releases"]]
    places = "\n".join(f"  {name}: {place}" for name, place in summary["look"].items())
    parts += [f"where to look:\n{places}", f"done in {summary['seconds']:.0f} s"]
    return "\n".join(part for part in parts if part)


def _stage_line(stages: dict[str, str]) -> str:
    return "\n".join(f"  {name:<9} {result}" for name, result in stages.items())


def _quarantine_text(summary: dict[str, Any]) -> str:
    ingest, checks = summary["ingest"], summary["checks"]
    if not ingest:
        return ""
    lines = [
        f"data: {ingest['episodes_in']} episodes found, {ingest['episodes_out']} in the dataset, "
        f"{checks.get('accepted') or 0} accepted for training"
    ]
    lines += [f"  set aside at ingest [{item['code']}] {item['source']}" for item in ingest["quarantined"]]
    lines += [
        f"  set aside by checks [{', '.join(item['codes'])}] {item.get('source_uri', item['episode_id'][:12])}"
        for item in checks.get("failed") or ()
    ]
    return "\n".join(lines)


def _success_table(summary: dict[str, Any]) -> str:
    policies = summary["success"]
    if not policies:
        return ""
    tasks = sorted({task for entry in policies.values() for task in entry["tasks"]})
    rows = [[task, *(_rate(entry["tasks"].get(task)) for entry in policies.values())] for task in tasks]
    rows.append(["mean", *(f"{entry['mean']:.2f}" for entry in policies.values())])
    return table(["task", *policies], rows, title="success in closed loop (95 % Wilson interval)")


def _rate(row: dict[str, Any] | None) -> str:
    return f"{row['successes']}/{row['n']} ({row['low']:.2f}-{row['high']:.2f})" if row else "-"


def told_another(policies: dict[str, Any]) -> list[list[str]]:
    """A row for each policy and scene in which the other task of the scene was asked for."""
    return [
        [name, scene, row["asked"], _rate({**row, "successes": row["did_asked"]}), f"{row['did_scene']}/{row['n']}"]
        for name, entry in policies.items()
        for scene, row in sorted(entry.get("swapped", {}).items())
    ]


def _language_table(summary: dict[str, Any]) -> str:
    rows = told_another(summary["success"])
    return table(TOLD, rows, title="told the other task of the scene") if rows else ""


def _release_line(entry: dict[str, Any]) -> str:
    numbers = entry.get("numbers") or {}
    counted = ", ".join(f"{key} {value}" for key, value in numbers.items())
    line = f"version {entry['version']} ({entry['policy']}): {entry['outcome']}"
    return f"{line}, {entry['reason']}" + (f" [{counted}]" if counted else "")


def write_page(workspace: Workspace, summary: dict[str, Any]) -> Path:
    """Writes `reports/index.html`, whose links are relative, so that the folder can be moved with the workspace."""
    from jinja2 import Environment, StrictUndefined

    source = (files("flows") / "templates" / "summary.html.j2").read_text()
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(source)
    tasks = sorted({task for entry in summary["success"].values() for task in entry["tasks"]})
    told = told_another(summary["success"])
    page = workspace.reports / "index.html"
    places = {
        name: relpath(workspace.root / place, workspace.reports)
        for name, place in summary["look"].items()
        if place != "gripline ui"
    }
    shown: dict[str, Any] = {"heads": TOLD, "told": told, "up": _up(workspace)}
    write_text(page, template.render(summary=summary, tasks=tasks, places=places, rate=_rate, **shown))
    return page


def _up(workspace: Workspace) -> str:
    """From the page to the workspace."""
    return relpath(workspace.root, workspace.reports)


def links_page(workspace: Workspace, links: dict[str, str]) -> str:
    """The first page of `gripline ui`: the two servers, and the reports that exist."""
    from jinja2 import Environment

    known = {
        "Last run": workspace.reports / "index.html",
        "Report of the checks": workspace.checks / "report.html",
        "Data Docs": workspace.check_docs / "index.html",
        "Contact sheet": workspace.checks / "contact_sheet.png",
        "Card of the dataset": card_page(workspace),
        "Learning curves": curves_page(workspace),
    }
    known |= {f"Rollout {path.parent.name}": path for path in sorted(workspace.rollouts.glob("*/report.html"))}
    local = {name: "/" + str(path.relative_to(workspace.root)) for name, path in known.items() if path.is_file()}
    page = (
        "<!doctype html><meta charset=utf-8><title>gripline</title>"
        "<body style='font-family:system-ui;max-width:50rem;margin:3rem auto;line-height:1.8'><h1>gripline</h1><ul>"
        "{% for name, url in links.items() %}<li><a href='{{ url }}'>{{ name }}</a></li>{% endfor %}</ul></body>"
    )
    return Environment(autoescape=True).from_string(page).render(links={**links, **local})
