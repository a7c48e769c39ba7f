"""The gate: which of the evaluated policies may be registered. python -m components.evaluate.gate

A policy passes where its bundle has parity, its mean success is high enough, and on every task of `gate.vision_tasks`
it beats the policy that sees no images: a one-sided Fisher exact test at `gate.confidence`. Elsewhere a blind policy
may do as well, so success there is no evidence of sight. A no is a verdict and not an error: the gate writes it and
exits 0, and whoever promotes reads it.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from components.bundle.write import MANIFEST_NAME
from components.core.errors import BundleError, RecordError
from components.core.files import read_json, replace_dir, sha256_file, write_json
from components.core.params import Gate, Params
from components.core.records import read_record
from components.core.stage import stage_main
from components.core.workspace import Workspace
from components.evaluate.intervals import p_not_better

BLIND, UNTRAINED = "blind", "untrained"

log = logging.getLogger(__name__)


def run(workspace: Workspace, params: Params) -> None:
    """data/evaluation/report.json -> data/gate/verdict.json.

    Raises `RecordError` where there is no report, or it is of other bundles than those in data/bundles.
    """
    path = workspace.evaluation / "report.json"
    if not path.is_file():
        raise RecordError("no such file", where=str(path), hint="Run the stage evaluate first")
    report = read_json(path)["policies"]
    verdict = {}
    for name, entry in report.items():
        folder = workspace.bundles / name
        _require_same_bundle(folder, entry["bundle"], report=path)
        reasons = _control(name, folder) or [*_parity(folder), *judge(entry, report.get(BLIND), params.gate)]
        verdict[name] = {"passed": not reasons, "bundle": entry["bundle"], "reasons": reasons}
        log.info("%-10s %s", name, "passed" if not reasons else "; ".join(reasons))
    with replace_dir(workspace.gate) as target:
        write_json(target / "verdict.json", {"policies": verdict})
    workspace.journal.write("gated", passed={name: one["bundle"] for name, one in verdict.items() if one["passed"]})


def judge(entry: dict[str, Any], blind: dict[str, Any] | None, gate: Gate) -> list[str]:
    """Why a policy may not pass, by its success alone; empty where it may. Entries are those of report.json."""
    reasons = []
    if entry["mean"] < gate.min_success:
        reasons.append(f"mean success {entry['mean']:.2f} is below {gate.min_success:.2f}")
    if blind is None and gate.vision_tasks:
        reasons.append("no blind policy was evaluated to compare with")
    else:
        reasons += [reason for task in gate.vision_tasks if (reason := _no_vision(entry, blind, task, gate))]
    return reasons


def _no_vision(entry: dict[str, Any], blind: dict[str, Any] | None, task: str, gate: Gate) -> str | None:
    mine, other = entry["tasks"].get(task), (blind or {"tasks": {}})["tasks"].get(task)
    if mine is None or other is None:
        return f"{task} was not evaluated, which gate.vision_tasks names"
    chance = p_not_better(mine["successes"], mine["n"], other["successes"], other["n"])
    if chance <= 1.0 - gate.confidence:
        return None
    return (
        f"{task}: {mine['successes']}/{mine['n']} is not better than the blind policy's {other['successes']}/"
        f"{other['n']} (p = {chance:.3f}, needed {1.0 - gate.confidence:.3f})"
    )


def _control(name: str, folder: Path) -> list[str]:
    """The policies that the others are measured against never pass, whatever they score."""
    if name == UNTRAINED:
        return ["it is the untrained control"]
    return ["it sees no images: it is the blind control"] if read_record(folder, "bundle").attrs.get("blind") else []


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
