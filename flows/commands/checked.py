"""What `gripline check` prints: counts, what was set aside and why, limits, and what to do next."""

from __future__ import annotations

from collections import Counter
from typing import Any


def as_text(report: dict[str, Any]) -> str:
    """`report`: what `check_dataset` returns."""
    failed, warned = report["failed"], report["warned"]
    lines = [f"{report['episodes']} episodes, {len(failed)} set aside, {len(warned)} accepted with warnings"]
    lines += [f"  {e['source_uri']} ({e['episode_id'][:12]}): {_evidence(e)}" for e in failed]
    if counts := Counter(code for entry in warned for code in entry["codes"]):
        lines.append("warned: " + ", ".join(f"{code} {count}" for code, count in counts.most_common()))
    lines += _limits(report["limits"])
    if baseline := report["drift"]["baseline"]:
        lines.append(f"drift was measured against dataset {baseline[:12]}")
    lines.append(f"report in {report['report']}, verdicts in {report['verdicts']}, docs in {report['docs']}")
    if failed or warned:
        lines.append("see `gripline check [DATASET] --explain EPISODE` for the place; docs/checks.md for each code")
    return "\n".join(lines) + "\n"


def _limits(limits: list[dict[str, Any]]) -> list[str]:
    broken = {level: [one for one in limits if not one["passed"] and one["severity"] == level] for level in _LEVELS}
    return [f"the dataset {_LEVELS[level]} {'; '.join(map(_limit, found))}" for level, found in broken.items() if found]


_LEVELS = {"error": "fails", "warn": "passes with warnings:"}


def _limit(limit: dict[str, Any]) -> str:
    return f"{limit['name']}: {limit['value']:g}, the limit is {limit['limit']:g}"


def _evidence(entry: dict[str, Any]) -> str:
    """What set it aside first, then what only warns."""
    ordered = sorted(entry["evidence"], key=lambda one: one["severity"] != "error")
    return ", ".join(_broken(one) for one in ordered)


def _broken(one: dict[str, Any]) -> str:
    value = f"{one['value']:.4g}" if isinstance(one["value"], float) else str(one["value"])
    hint = ", warns" if one["severity"] == "warn" else ""
    return (
        f"{one['code']} ({one['column']} {value}"
        + (f", limit {one['limit']:g}" if one["limit"] is not None else "")
        + f"{hint})"
    )
