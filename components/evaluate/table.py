"""The table of success, for people: one row a policy, with the controls among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def success_table(report: Mapping[str, Any]) -> str:
    """Markdown of a report: tasks with counts and intervals, the mean, and what was done where another task was asked.

    The same report gives the same text.
    """
    policies: Mapping[str, Any] = report["policies"]
    tasks = sorted({task for entry in policies.values() for task in entry["tasks"]})
    parts = [f"Successes of rollouts, with {report['confidence']:.0%} Wilson intervals."]
    rows = [[name, *(_cell(entry["tasks"].get(task)) for task in tasks), f"{entry['mean']:.2f}"]
            for name, entry in policies.items()]  # fmt: skip
    parts.append(_markdown(["policy", *tasks, "mean"], rows))
    told = [[name, scene, *_swapped(row)] for name, entry in policies.items()
            for scene, row in sorted(entry.get("swapped", {}).items())]  # fmt: skip
    if told:
        parts.append("With the instruction of the other task of the scene:")
        parts.append(_markdown(["policy", "scene of", "told", "did what it was told", "did that of the scene"], told))
    return "\n\n".join(parts) + "\n"


def _cell(row: Mapping[str, Any] | None) -> str:
    return f"{row['successes']}/{row['n']} ({row['low']:.2f}-{row['high']:.2f})" if row else "-"


def _swapped(row: Mapping[str, Any]) -> list[str]:
    did = f"{row['did_asked']}/{row['n']} ({row['low']:.2f}-{row['high']:.2f})"
    return [row["asked"], did, f"{row['did_scene']}/{row['n']}"]


def _markdown(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
