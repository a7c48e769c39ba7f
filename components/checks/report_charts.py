"""Charts of the report, counted here: a page about a million episodes is as small as one about a hundred."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.checks.channels import Channels
from components.checks.codes import Rule, rules
from components.checks.suite import bound
from components.core.figures import BLUE, Figure, cells, labels, layout
from components.core.params import Checks
from components.core.spec import Embodiment

Named = list[tuple[str, Figure]]
Flags = npt.NDArray[np.bool_]
RED, AMBER = "#a4262c", "#e0913a"
BINS = 40
# Values beyond these quantiles are counted in the outermost bins.
_INNER = (0.001, 0.999)
# Rows and columns of a table of counts, and columns whose drift is drawn.
_MOST_CELLS, _MOST_DRIFT = 30, 25
# Below and above: population stability index that is noise, and that is another population.
PSI_SMALL, PSI_LARGE = 0.1, 0.25


def by_code(failed: Counter[str], warned: Counter[str]) -> Named:
    """Episodes that broke each code."""
    codes = sorted({*failed, *warned}, key=lambda code: (failed[code] + warned[code], code))
    if not codes:
        return []
    bars = [
        {
            "type": "bar",
            "orientation": "h",
            "name": name,
            "x": [counts[code] for code in codes],
            "y": codes,
            "marker": {"color": colour},
        }
        for name, counts, colour in (("error", failed, RED), ("warn", warned, AMBER))
    ]
    drawn = layout("episodes", "", 100 + 22 * len(codes)) | {"barmode": "stack"}
    drawn["yaxis"] |= {"type": "category", "automargin": True}
    return [("", {"data": bars, "layout": drawn})]


def measures(table: pd.DataFrame, set_aside: Flags, params: Checks, body: Embodiment) -> Named:
    """Of each number that is judged how the episodes lie, and its limit; those that are alike in all are left out."""
    found = {}
    for check, rule in rules(Channels(body).can):
        limit = bound(rule, params)
        if rule.column in table and limit is not None and rule.column not in found:
            values = table[rule.column].to_numpy(np.float64, na_value=np.nan)
            if np.unique(values[np.isfinite(values)]).size > 1:
                found[rule.column] = (f"{rule.column} ({check.code})", _lying(values, set_aside, rule, limit))
    return list(found.values())


def _lying(values: npt.NDArray[np.float64], set_aside: Flags, rule: Rule, limit: float) -> Figure:
    drawn = histogram(values, set_aside, rule.column, limit)
    line = {"type": "line", "x0": limit, "x1": limit, "y0": 0, "y1": 1, "yref": "paper"}
    said = {"at_least": "at least", "at_most": "at most"}.get(rule.kind, "at most")
    label = {"text": f"{said} {limit:g}", "textposition": "end", "textangle": 0}
    drawn["layout"]["shapes"] = [line | {"line": {"color": RED, "dash": "dash"}, "label": label}]
    return drawn


def histogram(values: npt.NDArray[np.float64], set_aside: Flags, name: str, limit: float | None = None) -> Figure:
    """Accepted episodes against those set aside; a logarithmic count, so that a few among many are seen."""
    known = np.isfinite(values)
    low, high = (float(edge) for edge in np.quantile(values[known], _INNER))
    if limit is not None:
        low, high = min(low, limit), max(high, limit)
    edges = np.linspace(low, high if high > low else low + 1.0, BINS + 1)
    inside = np.clip(values, edges[0], edges[-1])
    bars = [
        {
            "type": "bar",
            "name": kind,
            "x": [float(f"{x:.6g}") for x in (edges[:-1] + edges[1:]) / 2],
            "y": np.histogram(inside[known & chosen], edges)[0].tolist(),
            "width": float(f"{edges[1] - edges[0]:.6g}"),
            "marker": {"color": colour},
            "opacity": 0.6,
        }
        for kind, chosen, colour in (("accepted", ~set_aside, BLUE), ("set aside", set_aside, RED))
    ]
    drawn = layout(name, "episodes", 240) | {"barmode": "overlay", "showlegend": True}
    drawn["yaxis"]["type"] = "log"
    return {"data": bars, "layout": drawn}


def quality(table: pd.DataFrame, set_aside: Flags) -> Named:
    """The score of the episodes and its parts, where there are some."""
    names = sorted(str(name) for name in table if name == "quality" or str(name).startswith("quality_"))
    columns = {name: table[name].to_numpy(np.float64, na_value=np.nan) for name in names}
    return [(name, histogram(values, set_aside, name)) for name, values in columns.items() if np.isfinite(values).any()]


def coverage(table: pd.DataFrame, set_aside: Flags) -> Named:
    """Accepted episodes of each task by robot and by site; empty cells are what is still to be recorded."""
    found = []
    for name in ("robot_id", "site"):
        counts = pd.crosstab(table["task"].fillna(""), table[name].fillna(""), values=~set_aside, aggfunc="sum")
        counts = counts.fillna(0).astype("int64")
        rows, columns = (_frequent(counts.sum(axis=axis)) for axis in (1, 0))
        shown = counts.loc[rows[:_MOST_CELLS], columns[:_MOST_CELLS]]
        cut = [
            f"{len(names) - _MOST_CELLS} {what}s"
            for names, what in ((rows, "task"), (columns, name))
            if len(names) > _MOST_CELLS
        ]
        title = f"task by {name}" + (f", without {' and '.join(cut)} of fewer episodes" if cut else "")
        found.append((title, cells(name, list(shown.columns), "task", list(shown.index), shown.to_numpy().tolist())))
    return found


def _frequent(counts: pd.Series) -> list[str]:
    """Its names, the most frequent first."""
    return [str(name) for name in counts.sort_values(ascending=False, kind="stable").index]


def drift(found: Mapping[str, Any]) -> Named:
    """How far the columns have moved from those of the last accepted version."""
    moved = {str(name): float(psi) for name, psi in (found.get("columns") or {}).items() if psi is not None}
    if not moved:
        return []
    names = sorted(moved, key=lambda name: (-moved[name], name))[:_MOST_DRIFT][::-1]
    bar = {
        "type": "bar",
        "orientation": "h",
        "x": [moved[name] for name in names],
        "y": labels(names),
        "marker": {"color": [_colour(moved[name]) for name in names]},
    }
    drawn = layout("population stability index", "", 100 + 22 * len(names))
    drawn["yaxis"] |= {"type": "category", "automargin": True}
    return [(f"the {len(names)} columns of {len(moved)} that moved most", {"data": [bar], "layout": drawn})]


def _colour(psi: float) -> str:
    return RED if psi > PSI_LARGE else AMBER if psi > PSI_SMALL else BLUE
