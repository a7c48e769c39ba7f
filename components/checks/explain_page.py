"""An explanation as a page: what broke, the signals with the guilty ticks shaded, and the pictures there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.checks.explain import Explanation
from components.checks.explained_text import heading, number, ticks_text
from components.core.figures import Figure, layout, numbers, thinned
from components.core.files import write_text
from components.core.page import plotly_js, render, script_json
from components.dataset.outside import require_place
from components.dataset.pictures import data_uri, frame, jpeg

PAGE = "explain.html"
MOST_POINTS = 2000
# Ticks of one code of which pictures are shown, and ranges that are shaded in a chart.
_SHOWN, _SHADED = 4, 200
_WIDEST_PX, _QUALITY = 240, 75
_SHADE = {"error": "#a4262c", "warn": "#e0913a"}


def write_page(found: Explanation, out: Path) -> Path:
    """Writes explain.html into `out`. The same check and episode give the same bytes.

    Raises `DatasetError` where a picture cannot be decoded, and `UsageError` for an `out` that is no place for it.
    """
    require_place(out)
    text = page(found)
    write_text(out / PAGE, text)
    return out / PAGE


def page(found: Explanation) -> str:
    figures = charts(found)
    return render(
        "components.checks",
        "explain.html.j2",
        title=f"Episode {found.row['episode_index']}",
        row=found.row,
        verdict=found.verdict,
        broken=_blocks(found),
        pictures=_pictures(found, _spread(len(found.subject.time_s))) if not found.broken else [],
        headroom=[(judged, number(judged)) for judged in found.headroom],
        not_judged=found.not_judged,
        charts=script_json(list(figures.values())),
        names=list(figures),
        plotly=plotly_js(),
    )


def _blocks(found: Explanation) -> list[dict[str, Any]]:
    blocks = []
    for broken in found.broken:
        places = [
            {"kind": p.kind, "name": p.name, "note": p.note, "ticks": ticks_text(found, p) if p.ticks else ""}
            for p in broken.places
        ]
        middles = [(first + last) // 2 for place in broken.places for first, last in place.ticks]
        ticks = sorted(dict.fromkeys(middles[:_SHOWN])) or _spread(len(found.subject.time_s))
        blocks.append(
            {"severity": broken.severity, "code": broken.code, "heading": heading(broken), "places": places}
            | {"pictures": _pictures(found, ticks)}
        )
    return blocks


def _spread(length: int) -> list[int]:
    return sorted({0, length // 2, length - 1})


def _pictures(found: Explanation, ticks: list[int]) -> list[dict[str, Any]]:
    """One strip a tick: all cameras side by side."""
    dataset, index = found.subject.dataset, found.subject.index
    return [
        {
            "tick": tick,
            "at_s": f"{found.at_s(tick):.2f}",
            "uris": {
                camera: data_uri(jpeg(frame(dataset, index, camera, tick), quality=_QUALITY, widest_px=_WIDEST_PX))
                for camera in dataset.cameras
            },
        }
        for tick in ticks
    ]


def charts(found: Explanation) -> dict[str, Figure]:
    """Group of channels, such as "state/hand" -> lines over frames."""
    subject = found.subject
    groups: dict[str, list[int]] = {}
    for place, channel in enumerate(subject.channels.all):
        groups.setdefault(f"{channel.role}/{channel.group}", []).append(place)
    ticks = thinned(len(subject.time_s), MOST_POINTS)
    figures = {}
    for name, members in groups.items():
        lines = [
            {
                "type": "scatter",
                "mode": "lines",
                "name": subject.channels.all[member].name,
                "x": ticks.tolist(),
                "y": numbers(subject.raw[ticks, member].astype("float32")),
                "line": {"width": 1.2},
            }
            for member in members
        ]
        paths = {subject.channels.all[member].path for member in members}
        drawn = layout("frame", subject.channels.all[members[0]].units, 240)
        drawn |= {"showlegend": True, "shapes": _shades(found, paths)}
        figures[name] = {"data": lines, "layout": drawn}
    return figures


def _shades(found: Explanation, paths: set[str]) -> list[dict[str, Any]]:
    """Guilty ticks of these channels, and those of no channel at all."""
    shown = [
        (broken, ticks)
        for broken in found.broken
        for place in broken.places
        if place.kind != "channel" or place.name in paths or "/" not in place.name
        for ticks in place.ticks
    ]
    return [
        {
            "type": "rect",
            "x0": first - 0.5,
            "x1": last + 0.5,
            "y0": 0,
            "y1": 1,
            "yref": "paper",
            "layer": "below",
            "fillcolor": _SHADE[broken.severity],
            "opacity": 0.15,
            "line": {"width": 0},
            "label": {"text": broken.code, "textposition": "top left", "font": {"size": 10}},
        }
        for broken, (first, last) in dict.fromkeys(shown[:_SHADED])
    ]
