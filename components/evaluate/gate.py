"""The gate: which of the evaluated policies may be registered. python -m components.evaluate.gate

A policy passes where its bundle has parity, its mean success is high enough, it beats the policy that sees no images
where that takes eyes, it beats the policy that is told nothing where that takes the instruction, and it does what it
is told where two tasks share a scene (`judge.py`). A no is a verdict and not an error: the gate writes it and exits 0,
and whoever promotes reads it.
"""

from __future__ import annotations

import logging
from pathlib import Path

from components.bundle.write import MANIFEST_NAME
from components.core.errors import BundleError, RecordError
from components.core.files import read_json, replace_dir, sha256_file, write_json
from components.core.params import Params
from components.core.stage import stage_main
from components.core.workspace import Workspace
from components.evaluate.controls import why_control
from components.evaluate.judge import judge

log = logging.getLogger(__name__)


def run(workspace: Workspace, params: Params) -> None:
    """data/evaluation/report.json -> data/gate/verdict.json.

    Raises `RecordError` where there is no report, or it is of other bundles than those in data/bundles.
    """
    path = workspace.evaluation / "report.json"
    if not path.is_file():
        raise RecordError("no such file", where=str(path), hint="Run the stage evaluate first")
    whole = read_json(path)
    report = whole["policies"]
    verdict = {}
    for name, entry in report.items():
        folder = workspace.bundles / name
        _require_same_bundle(folder, entry["bundle"], report=path)
        control = why_control(folder)
        reasons = [control] if control else [*_parity(folder), *judge(entry, report, params.gate)]
        verdict[name] = {"passed": not reasons, "bundle": entry["bundle"], "reasons": reasons}
        log.info("%-10s %s", name, "passed" if not reasons else "; ".join(reasons))
    for name, entry in whole.get("not_evaluated", {}).items():
        _require_same_bundle(workspace.bundles / name, entry["bundle"], report=path)
        verdict[name] = {"passed": False, "bundle": entry["bundle"], "reasons": [entry["reason"]]}
        log.info("%-10s %s", name, entry["reason"])
    with replace_dir(workspace.gate) as target:
        write_json(target / "verdict.json", {"policies": verdict})
    workspace.journal.write("gated", passed={name: one["bundle"] for name, one in verdict.items() if one["passed"]})


def _parity(folder: Path) -> list[str]:
    try:
        parity = read_json(folder / "parity.json")
        found, limit = parity["max_abs"], parity["limit"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"no parity to judge: {error}", where=str(folder / "parity.json")) from error
    if found is None:
        return ["its graph answers NaN"]
    return [] if found <= limit else [f"its graph differs from its checkpoint by {found:.3g}, the limit is {limit:g}"]


def _require_same_bundle(folder: Path, evaluated: str, *, report: Path) -> None:
    manifest = folder / MANIFEST_NAME
    found = sha256_file(manifest) if manifest.is_file() else "none"
    if found != evaluated:
        raise RecordError(
            f"is of bundle {evaluated[:12]} while {folder.name} is {found[:12]}",
            where=str(report),
            hint="Run the stage evaluate again",
        )


if __name__ == "__main__":
    stage_main(run)
