"""Charts of a card as plotly figures in plain JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from components.view.coverage import CROSSED
from components.view.facts import GROUPS

Figure = dict[str, Any]
_BLUE = "#1f6fb2"
# Groups of one bar say nothing.
_FEWEST = 2
# Characters of a label.
_LONGEST = 40


def charts(facts: Mapping[str, Any]) -> dict[str, list[Figure]]:
    """Key of a section -> the figures that stand in it."""
    found = {name: [_bars(facts["groups"][name])] for name in GROUPS if _has_bars(facts["groups"].get(name))}
    found["durations"] = [_durations(facts["durations"])]
    coverage = facts["coverage"]
    found["gaps"] = [_cells(name, coverage["cells"][name]) for name in CROSSED if coverage["cells"][name]]
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
        "y": _labels([row["value"] for row in rows]),
        "marker": {"color": _BLUE},
    }
    layout = _layout("episodes", "", 90 + 22 * len(rows))
    layout["yaxis"] |= {"type": "category", "automargin": True}
    return {"data": [bar], "layout": layout}


def _durations(durations: Mapping[str, Any]) -> Figure:
    bins, width = durations["bins"], durations["bin_s"]
    bar = {
        "type": "bar",
        "x": [round(one["from_s"] + width / 2, 6) for one in bins],
        "y": [one["episodes"] for one in bins],
        "width": width,
        "marker": {"color": _BLUE},
    }
    return {"data": [bar], "layout": _layout("duration (s)", "episodes", 280)}


def _cells(name: str, cells: Mapping[str, Any]) -> Figure:
    shown = cells["table"]
    heat = {
        "type": "heatmap",
        "x": _labels(shown["values"]),
        "y": _labels(shown["tasks"]),
        "z": shown["episodes"],
        "zmin": 0,
        # White is empty, so that gaps are seen.
        "colorscale": [[0.0, "#ffffff"], [1e-9, "#dbe9f6"], [1.0, "#08306b"]],
        "colorbar": {"title": {"text": "episodes"}},
        "xgap": 1,
        "ygap": 1,
    }
    layout = _layout(name, "task", 140 + 22 * len(shown["tasks"]))
    for axis in ("xaxis", "yaxis"):
        layout[axis] |= {"type": "category", "automargin": True, "showgrid": False}
    layout["yaxis"]["autorange"] = "reversed"
    return {"data": [heat], "layout": layout}


def _days(days: Mapping[str, Any]) -> Figure:
    rows = days["recorded"]
    bar = {
        "type": "bar",
        "x": [row["day"] for row in rows],
        "y": [row["episodes"] for row in rows],
        "marker": {"color": _BLUE},
    }
    layout = _layout("day", "episodes", 260)
    layout["xaxis"]["type"] = "date"
    return {"data": [bar], "layout": layout}


def _labels(values: Sequence[str]) -> list[str]:
    """Short and each one different: plotly lays bars of one name on top of each other, and reads HTML in names."""
    found: list[str] = []
    for value in values:
        text = value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…"
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") or "not said"
        found.append(text if text not in found else f"{text} ({len(found)})")
    return found


def _layout(x: str, y: str, height_px: int) -> Figure:
    return {
        "height": height_px,
        "margin": {"l": 60, "r": 20, "t": 20, "b": 50},
        "bargap": 0.15,
        "xaxis": {"title": {"text": x}},
        "yaxis": {"title": {"text": y}},
    }
