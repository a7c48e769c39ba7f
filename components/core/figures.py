"""Charts as plotly figures in plain JSON: what those of all pages share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Figure = dict[str, Any]
BLUE = "#1f6fb2"
# White is empty, so that gaps are seen.
_DENSITY = [[0.0, "#ffffff"], [1e-9, "#dbe9f6"], [1.0, "#08306b"]]
# Characters of a label.
_LONGEST = 40


def layout(x: str, y: str, height_px: int) -> Figure:
    """`x`, `y`: what the axes say."""
    return {
        "height": height_px,
        "margin": {"l": 60, "r": 20, "t": 20, "b": 50},
        "bargap": 0.15,
        "xaxis": {"title": {"text": x}},
        "yaxis": {"title": {"text": y}},
    }


def cells(x: str, columns: Sequence[str], y: str, rows: Sequence[str], counts: Sequence[Sequence[int]]) -> Figure:
    """How many episodes there are in each cell of a table: `counts` [rows, columns]."""
    heat = {
        "type": "heatmap",
        "x": labels(columns),
        "y": labels(rows),
        "z": counts,
        "zmin": 0,
        "colorscale": _DENSITY,
        "colorbar": {"title": {"text": "episodes"}},
        "xgap": 1,
        "ygap": 1,
    }
    drawn = layout(x, y, 140 + 22 * len(rows))
    for axis in ("xaxis", "yaxis"):
        drawn[axis] |= {"type": "category", "automargin": True, "showgrid": False}
    drawn["yaxis"]["autorange"] = "reversed"
    return {"data": [heat], "layout": drawn}


def labels(values: Sequence[str]) -> list[str]:
    """Short and each one different: plotly lays bars of one name on top of each other, and reads HTML in names."""
    found: list[str] = []
    for value in values:
        text = value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…"
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") or "not said"
        found.append(text if text not in found else f"{text} ({len(found)})")
    return found


def thinned(length: int, most: int) -> npt.NDArray[np.int64]:
    """Ticks, at most `most`, evenly from the first to the last."""
    return np.unique(np.linspace(0, length - 1, min(length, most)).round().astype(np.int64))


def numbers(values: Any, digits: int | None = None) -> list[float | None]:
    """Plain numbers, null where one is not finite; float32 with the digits that tell it from its neighbours."""
    exact = [float(str(value)) if np.isfinite(value) else None for value in np.asarray(values)]
    return exact if digits is None else [None if value is None else round(value, digits) for value in exact]
