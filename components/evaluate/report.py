"""Rollouts as numbers, as a table, and as a chart."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from components.evaluate.closed_loop import Rollout, by_policy_and_task
from components.evaluate.intervals import wilson

# Of the intervals in the report; the gate has a level of its own.
CONFIDENCE = 0.95


def make_report(rollouts: Sequence[Rollout], bundles: Mapping[str, str]) -> dict[str, Any]:
    """{"confidence", "policies": {name: {"bundle": digest, "tasks": {task: ...}, "mean": mean of the task rates}}}.

    A task holds successes, n, rate, low and high of the Wilson interval, and mean_steps over all its rollouts. Where
    another task than that of the scene was asked for, a policy has "swapped": {task of the scene: {"asked",
    "did_asked", "did_scene", "n", and rate, low and high of doing what was asked}}; these count for nothing else.
    """
    policies: dict[str, dict[str, Any]] = {}
    for policy, tasks in by_policy_and_task([one for one in rollouts if not one.swapped]).items():
        rows = {task: _row(group) for task, group in tasks.items()}
        mean = sum(row["rate"] for row in rows.values()) / len(rows)
        policies[policy] = {"bundle": bundles[policy], "tasks": rows, "mean": mean}
    for policy, tasks in by_policy_and_task([one for one in rollouts if one.swapped]).items():
        policies[policy]["swapped"] = {scene: _swapped_row(group) for scene, group in tasks.items()}
    return {"confidence": CONFIDENCE, "policies": policies}


def _row(group: Sequence[Rollout]) -> dict[str, float]:
    n, successes = len(group), sum(rollout.success for rollout in group)
    low, high = wilson(successes, n, CONFIDENCE)
    steps = sum(rollout.steps for rollout in group) / n
    return {"successes": successes, "n": n, "rate": successes / n, "low": low, "high": high, "mean_steps": steps}


def _swapped_row(group: Sequence[Rollout]) -> dict[str, Any]:
    n, did = len(group), sum(rollout.success for rollout in group)
    low, high = wilson(did, n, CONFIDENCE)
    own = sum(rollout.did_scene for rollout in group)
    asked = group[0].asked
    return {"asked": asked, "did_asked": did, "did_scene": own, "n": n, "rate": did / n, "low": low, "high": high}


def success_csv(report: Mapping[str, Any]) -> str:
    """One row per policy and task."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = ("successes", "n", "rate", "low", "high", "mean_steps")
    writer.writerow(["policy", "task", *columns])
    for policy, entry in report["policies"].items():
        writer.writerows([policy, task, *(row[name] for name in columns)] for task, row in entry["tasks"].items())
    return text.getvalue()


def success_png(report: Mapping[str, Any]) -> bytes:
    """Bars per task and policy with their intervals. The same report gives the same bytes."""
    # The object interface: no global state, no window, no font of a desktop.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    policies: Mapping[str, Any] = report["policies"]
    tasks = sorted({task for entry in policies.values() for task in entry["tasks"]})
    figure = Figure(figsize=(1.5 + 1.7 * len(tasks), 4.0), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    width = 0.8 / len(policies)
    for number, (policy, entry) in enumerate(policies.items()):
        rows = [(place, entry["tasks"][task]) for place, task in enumerate(tasks) if task in entry["tasks"]]
        left = [place - 0.4 + (number + 0.5) * width for place, _ in rows]
        rates = [row["rate"] for _, row in rows]
        errors = [[row["rate"] - row["low"] for _, row in rows], [row["high"] - row["rate"] for _, row in rows]]
        axes.bar(left, rates, width * 0.92, label=policy, yerr=errors, capsize=2, error_kw={"elinewidth": 0.8})
    axes.set_xticks(range(len(tasks)), tasks)
    axes.set_ylim(0.0, 1.05)
    axes.set_ylabel(f"success, {report['confidence']:.0%} Wilson interval")
    axes.legend(ncols=min(4, len(policies)), loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    image = io.BytesIO()
    FigureCanvasAgg(figure).print_png(image, metadata={"Software": None})
    return image.getvalue()
