"""The words and tables of a card. Says nothing that the facts do not say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.view.doubles import MARKS
from components.view.markdown import code, counted, escape, lasting, paragraphs, table

TITLES = {
    "task": "Tasks",
    "robot_id": "Robots",
    "site": "Sites",
    "scene": "Scenes",
    "collector_id": "Collectors",
    "embodiment": "Embodiments",
    "split": "Splits",
    "outcome": "Outcomes",
    "source_format": "Recorded as",
    "licence": "Licences",
    "verdict": "Verdicts",
}
_SINGULAR = {"robot_id": "robot", "site": "site", "scene": "scene", "collector_id": "collector"}
_NOT_SAID = "*not said*"


@dataclass(frozen=True)
class Section:
    """`key`: by which charts and pictures find their section."""

    key: str
    title: str
    text: str


def sections(facts: Mapping[str, Any]) -> list[Section]:
    """The card from top to bottom, without its title."""
    groups = facts["groups"]
    found = [
        Section("holds", "What it holds", _holds(facts)),
        *(Section(name, TITLES[name], _group(name, groups[name])) for name in groups if name != "licence"),
        Section("durations", "Durations", _durations(facts["durations"])),
        Section("rights", "Licences and consent", _rights(facts)),
        Section("gaps", "Gaps", _gaps(facts)),
        Section("doubles", "Duplicates", _doubles(facts["doubles"])),
        Section("built", "How it was built", _built(facts["datasets"])),
    ]
    if facts["codes"]:
        rows = [(code(row["code"]), f"{row['episodes']:,}") for row in facts["codes"]]
        at = next(number for number, section in enumerate(found) if section.key == "verdict") + 1
        found.insert(at, Section("codes", "What the checks found", table(("code", "episodes"), rows)))
    return found


def _holds(facts: Mapping[str, Any]) -> str:
    total = facts["total"]
    chosen = f"Only episodes with {code(facts['where'])}." if facts.get("where") else ""
    head = f"{counted(total['episodes'], 'episode')}, {counted(total['frames'], 'frame')}, {lasting(total['hours'])}."
    rows = [
        (
            escape(one["name"]),
            f"{one['episodes']:,} of {one['of']:,}",
            escape(one["embodiment"]),
            f"{one['fps']}",
            f"{one['action_rate_hz']:g}",
            f"{len(one['cameras'])} x {one['image_px']} px",
            f"{len(one['depth_cameras'])}",
            f"{one['state']}",
            f"{one['action']}",
        )
        for one in facts["datasets"]
    ]
    header = ("dataset", "episodes", "embodiment", "frames/s", "actions/s", "cameras", "depth cameras")
    return paragraphs(head, chosen, table((*header, "state", "action"), rows))


def _group(name: str, group: Mapping[str, Any]) -> str:
    said = [row for row in group["rows"] if row["value"]]
    if not said and not group["others"]:
        return "No episode has one." if name == "verdict" else "No episode says."
    rows = [_counts(escape(row["value"]) or _NOT_SAID, row) for row in group["rows"]]
    if group["others"]:
        rows.append(_counts(f"*{group['values'] - len(group['rows']):,} others*", group["others"]))
    return table(("", "episodes", "frames", "time"), rows)


def _counts(name: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    return name, f"{row['episodes']:,}", f"{row['frames']:,}", lasting(row["hours"])


def _durations(durations: Mapping[str, Any]) -> str:
    names = {"q0": "shortest", "q1": "1 %", "q25": "25 %", "q50": "median", "q75": "75 %", "q99": "99 %"}
    names["q100"] = "longest"
    return table(tuple(names.values()), [[f"{durations['quantiles_s'][key]:.2f} s" for key in names]])


def _rights(facts: Mapping[str, Any]) -> str:
    total, missing = facts["total"]["episodes"], facts["missing"]
    lacks = [
        f"**Gap:** {missing[name]:,} of {total:,} episodes {what}."
        for name, what in (("licence", "have no licence"), ("consent_ref", "name no consent of the collector"))
        if missing[name]
    ]
    whole = "" if lacks else "Every episode has a licence and names a consent."
    return paragraphs(whole, "\n\n".join(lacks), _group("licence", facts["groups"]["licence"]))


def _gaps(facts: Mapping[str, Any]) -> str:
    coverage, missing, total = facts["coverage"], facts["missing"], facts["total"]["episodes"]
    silent = [
        f"{count:,} of {total:,} episodes lack `{name}`."
        for name, count in missing.items()
        if count and name not in ("licence", "consent_ref")
    ]
    crossed = [
        _cells(_SINGULAR[name], cells, coverage["thin_share"]) for name, cells in coverage["cells"].items() if cells
    ]
    return paragraphs(*silent, *crossed, _days(coverage["days"])) or "None was found."


def _cells(name: str, cells: Mapping[str, Any], thin_share: float) -> str:
    pairs = cells["values"] * cells["tasks"]
    head = (
        f"**Task by {name}:** of {pairs:,} pairs {cells['empty']:,} have no episode and {cells['thin']:,} are thin "
        f"(at most {cells['thin_at']:.1f} episodes, {thin_share:.0%} of an even share)."
    )
    shown = cells["table"]
    rows = [
        (escape(task), *(f"{count:,}" if count else "**0**" for count in counts))
        for task, counts in zip(shown["tasks"], shown["episodes"], strict=True)
    ]
    more = ""
    if len(shown["values"]) < cells["values"] or len(shown["tasks"]) < cells["tasks"]:
        listed = "; ".join(f"{escape(g['task'])} by {escape(g['value'])} ({g['episodes']})" for g in cells["gaps"])
        more = f"Shown are the most frequent. The first gaps of all: {listed}." if listed else ""
    return paragraphs(head, table(("task", *(escape(value) for value in shown["values"])), rows), more)


def _days(days: Mapping[str, Any]) -> str:
    if not days["recorded"]:
        return ""
    first, last = days["recorded"][0]["day"], days["recorded"][-1]["day"]
    head = f"**Days:** recorded on {counted(len(days['recorded']), 'day')} from {first} to {last}"
    head += f", {days['without']:,} days between them have no recording." if days["without"] else ", without a gap."
    rows = [(f"{gap['after']} to {gap['before']}", f"{gap['days']:,}") for gap in days["gaps"]]
    return paragraphs(head, table(("between", "days without"), rows))


def _doubles(doubles: Mapping[str, Any]) -> str:
    lines = []
    for mark, words in MARKS.items():
        found = doubles[mark]
        if not found["groups"]:
            continue
        across = f", {found['across']:,} of them on both sides of the split" if found["across"] else ""
        lines.append(
            f"**{counted(found['surplus'], 'episode')} with {words}** as another one "
            f"({counted(found['groups'], 'group')}{across}), the first:"
        )
        lines.append("\n".join("- " + ", ".join(f"`{name[:12]}`" for name in ids) for ids in found["first"]))
    return paragraphs(*lines) or "No two episodes share their id, their pictures or their numbers."


def _built(datasets: Sequence[Mapping[str, Any]]) -> str:
    return paragraphs(*(_dataset(one) for one in datasets))


def _dataset(one: Mapping[str, Any]) -> str:
    said = {"digest": one["digest"], "embodiment": f"{one['embodiment']} ({one['embodiment_digest'][:12]})"}
    said |= {f"video.{name}": value for name, value in one["video"].items() if value is not None}
    said |= {f"input {name}": value for name, value in one["inputs"].items()}
    said |= dict(_flat(one["params"]))
    return table((escape(one["name"]), ""), [(escape(name), code(value)) for name, value in said.items()])


def _flat(value: Mapping[str, Any], head: str = "") -> Iterable[tuple[str, Any]]:
    for name in sorted(value):
        if isinstance(value[name], Mapping):
            yield from _flat(value[name], f"{head}{name}.")
        elif value[name] not in (None, "", [], ()):
            yield f"{head}{name}", value[name]
