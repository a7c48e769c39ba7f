"""Whether the success of a policy is evidence: that it is high enough, that it needed its eyes, that it listened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.core.params import Gate
from components.evaluate.controls import BLIND, WORDLESS
from components.evaluate.intervals import p_not_better

Entry = Mapping[str, Any]


def judge(entry: Entry, policies: Mapping[str, Entry], gate: Gate) -> list[str]:
    """Why a policy may not pass, by its success alone; empty where it may.

    `entry` is one of report.json, `policies` all of them, with the controls. On each of `gate.vision_tasks` the policy
    must beat the blind one, on all of `gate.language_tasks` together the wordless one: one-sided Fisher exact tests at
    `gate.confidence`. Told the other task of a scene, it must do that in `gate.min_swapped` of the rollouts.
    """
    reasons = []
    if entry["mean"] < gate.min_success:
        reasons.append(f"mean success {entry['mean']:.2f} is below {gate.min_success:.2f}")
    return [*reasons, *_sight(entry, policies.get(BLIND), gate), *_language(entry, policies.get(WORDLESS), gate)]


def _sight(entry: Entry, blind: Entry | None, gate: Gate) -> list[str]:
    if not gate.vision_tasks:
        return []
    if blind is None:
        return ["no blind policy was evaluated to compare with"]
    found = (_no_lead(entry, blind, (task,), "vision_tasks", "blind", gate) for task in gate.vision_tasks)
    return [reason for reason in found if reason]


def _language(entry: Entry, wordless: Entry | None, gate: Gate) -> list[str]:
    if not gate.language_tasks:
        return []
    if wordless is None:
        lead: str | None = "no wordless policy was evaluated to compare with"
    else:
        lead = _no_lead(entry, wordless, gate.language_tasks, "language_tasks", "wordless", gate)
    return [reason for reason in (lead, _disobedience(entry, gate)) if reason]


def _no_lead(entry: Entry, control: Entry, tasks: tuple[str, ...], key: str, name: str, gate: Gate) -> str | None:
    """Why success on `tasks` together is no better than that of the control called `name`."""
    for task in tasks:
        if task not in entry["tasks"] or task not in control["tasks"]:
            return f"{task} was not evaluated, which gate.{key} names"
    mine, other = _pooled(entry, tasks), _pooled(control, tasks)
    chance = p_not_better(*mine, *other)
    if chance <= 1.0 - gate.confidence:
        return None
    return (
        f"{', '.join(tasks)}: {mine[0]}/{mine[1]} is not better than the {name} policy's {other[0]}/{other[1]} "
        f"(p = {chance:.3f}, needed {1.0 - gate.confidence:.3f})"
    )


def _pooled(entry: Entry, tasks: tuple[str, ...]) -> tuple[int, int]:
    rows = [entry["tasks"][task] for task in tasks]
    return sum(row["successes"] for row in rows), sum(row["n"] for row in rows)


def _disobedience(entry: Entry, gate: Gate) -> str | None:
    if not gate.min_swapped:
        return None
    swapped = entry.get("swapped", {})
    for task in gate.language_tasks:
        if task not in swapped:
            return f"in the scene of {task} no other task was asked for, which gate.language_tasks names"
    rows = [swapped[task] for task in gate.language_tasks]
    did, n = sum(row["did_asked"] for row in rows), sum(row["n"] for row in rows)
    if did / n >= gate.min_swapped:
        return None
    return (
        f"told the other task of the scene ({', '.join(gate.language_tasks)}), it did that in {did}/{n} rollouts "
        f"({did / n:.2f}, needed {gate.min_swapped:.2f})"
    )
