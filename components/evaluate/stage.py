"""The stage `evaluate`: every bundle in closed loop."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from components.bundle.contract import read_contract
from components.bundle.verify import verify
from components.bundle.write import MANIFEST_NAME
from components.core.errors import BundleError, RecordError
from components.core.files import replace_dir, sha256_file, write_bytes, write_json, write_text
from components.core.params import Evaluate, Params
from components.core.records import Record, read_record, write_record
from components.core.spec import SAWYER_CELL
from components.core.workspace import Workspace
from components.evaluate.closed_loop import Plan, Rollout, run_plans
from components.evaluate.controls import UNTRAINED, why_control
from components.evaluate.report import make_report, success_csv, success_png
from components.evaluate.table import success_table
from components.sim.tasks import TASKS, swaps

log = logging.getLogger(__name__)


def run(workspace: Workspace, params: Params) -> None:
    """data/bundles -> data/evaluation.

    Raises `BundleError` for a bundle that does not verify or cannot be tried.
    """
    began = time.perf_counter()
    folders = bundle_folders(workspace.bundles)
    digests = {folder.name: verify(folder) for folder in folders}
    foreign = {name: reason for name, reason in map(_foreign, folders) if reason}
    tried = [folder for folder in folders if folder.name not in foreign] or folders
    rollouts = run_plans([plan for folder in tried for plan in _plans(folder, params.evaluate)], params.evaluate)
    report = make_report(rollouts, digests)
    if foreign:
        report["not_evaluated"] = {name: {"bundle": digests[name], "reason": why} for name, why in foreign.items()}
    with replace_dir(workspace.evaluation) as target:
        _write(target, report, rollouts, params.evaluate)
    seconds = time.perf_counter() - began
    for policy, entry in report["policies"].items():
        log.info("%-10s mean success %.2f", policy, entry["mean"])
    for policy, reason in foreign.items():
        log.info("%-10s %s", policy, reason)
    workspace.journal.write(
        "evaluated",
        policies={name: entry["bundle"] for name, entry in report["policies"].items()},
        rollouts=len(rollouts),
        duration_s=round(seconds, 3),
        rollouts_per_min=round(60.0 * len(rollouts) / seconds, 1),
    )


def bundle_folders(bundles: Path) -> list[Path]:
    """Sealed bundles, by name. Raises `RecordError` where there is none."""
    found = sorted(path.parent for path in bundles.glob(f"*/{MANIFEST_NAME}"))
    if not found:
        raise RecordError("no bundle", where=str(bundles), hint="Run the stage export first")
    return found


def _foreign(folder: Path) -> tuple[str, str]:
    """Name of a bundle, and why no simulated cell can try it: "" where one can."""
    robot = read_contract(folder).embodiment.name
    return folder.name, "" if robot == SAWYER_CELL.name else f"not evaluated: there is no simulated cell of {robot}"


def trained_tasks(folder: Path) -> list[str]:
    """The tasks of the simulated cell that a bundle's episodes show. Raises `BundleError` where there are none."""
    known = read_record(folder, "bundle").attrs.get("episodes", {}).get("task", {})
    tasks = [name for name in TASKS if name in known]
    if not tasks:
        raise BundleError(
            f"trained on {', '.join(sorted(known)) or 'no task that its record names'}",
            where=str(folder),
            hint=f"The simulated cell can try {', '.join(TASKS)}",
        )
    return tasks


def _plans(folder: Path, params: Evaluate) -> list[Plan]:
    # The untrained policy has seen no data: a few rollouts show that success is not for free.
    untrained = folder.name == UNTRAINED
    count = params.untrained_rollouts_per_task if untrained else params.rollouts_per_task
    tasks = trained_tasks(folder)
    plans = [Plan(folder.name, folder, task, count) for task in tasks] if count else []
    swapped = 0 if why_control(folder) else params.swapped_rollouts_per_pair
    if swapped:
        plans += [Plan(folder.name, folder, scene, swapped, asked=asked) for scene, asked in swaps(tasks)]
    return plans


def _write(target: Path, report: dict[str, Any], rollouts: Sequence[Rollout], params: Evaluate) -> None:
    write_json(target / "report.json", report)
    write_text(target / "success.csv", success_csv(report))
    write_text(target / "table.md", success_table(report))
    lines = (json.dumps(asdict(rollout), sort_keys=True) for rollout in rollouts)
    write_text(target / "rollouts.jsonl", "".join(f"{line}\n" for line in lines))
    write_bytes(target / "success.png", success_png(report))
    record = Record(
        kind="evaluation",
        digest=sha256_file(target / "report.json"),
        inputs={name: entry["bundle"] for name, entry in report["policies"].items()},
        params=params.model_dump(mode="json"),
        counts={"rollouts": len(rollouts), "successes": sum(rollout.success for rollout in rollouts)},
    )
    write_record(target, record)
