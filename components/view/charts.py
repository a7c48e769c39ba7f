"""Charts of a card as plotly figures in plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.core.figures import BLUE, Figure, cells, labels, layout
from components.view.coverage import CROSSED
from components.view.facts import GROUPS

# Groups of one bar say nothing.
_FEWEST = 2


def charts(facts: Mapping[str, Any]) -> dict[str, list[Figure]]:
    """Key of a section -> the figures that stand in it."""
    found = {name: [_bars(facts["groups"][name])] for name in GROUPS if _has_bars(facts["groups"].get(name))}
    found["durations"] = [_durations(facts["durations"])]
    coverage = facts["coverage"]
    found["gaps"] = [_cells(name, coverage["cells"][name]["table"]) for name in CROSSED if coverage["cells"][name]]
    if len(coverage["days"]["recorded"]) >= _FEWEST:
        found["gaps"].append(_days(coverage["days"]))
    return found


def _has_bars(group: Mapping[str, Any] | None) -> bool:
    return group is not None and len(group["rows"]) >= _FEWEST


def _bars(group: Mapping[str, Any]) -> Figure:
    rows = group["rows"][::-1]
    bar = {
        "type": "bar",
        "orientation": "h",
        "x": [row["episodes"] for row in rows],
        "y": labels([row["value"] for row in rows]),
        "marker": {"color": BLUE},
    }
    drawn = layout("episodes", "", 90 + 22 * len(rows))
    drawn["yaxis"] |= {"type": "category", "automargin": True}
    return {"data": [bar], "layout": drawn}


def _durations(durations: Mapping[str, Any]) -> Figure:
    bins, width = durations["bins"], durations["bin_s"]
    bar = {
        "type": "bar",
        "x": [round(one["from_s"] + width / 2, 6) for one in bins],
        "y": [one["episodes"] for one in bins],
        "width": width,
        "marker": {"color": BLUE},
    }
    return {"data": [bar], "layout": layout("duration (s)", "episodes", 280)}


def _cells(name: str, table: Mapping[str, Any]) -> Figure:
    return cells(name, table["values"], "task", table["tasks"], table["episodes"])


def _days(days: Mapping[str, Any]) -> Figure:
    rows = days["recorded"]
    bar = {
        "type": "bar",
        "x": [row["day"] for row in rows],
        "y": [row["episodes"] for row in rows],
        "marker": {"color": BLUE},
    }
    drawn = layout("day", "episodes", 260)
    drawn["xaxis"]["type"] = "date"
    return {"data": [bar], "layout": drawn}
