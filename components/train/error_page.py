"""The heat map of action errors: dimensions down, steps ahead to the right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from components.train.drawing import QUIET, SHADES, new_figure, png, short

_LEFT_IN = 3.3
# Cells that numbers are written into.
_MOST_WRITTEN = 400


def draw_errors(report: Mapping[str, Any], *, title: str) -> bytes:
    """PNG of a report of `ActionErrors`: shaded by the normalised error, the physical one written into the cells."""
    from matplotlib.colors import LinearSegmentedColormap

    dimensions = report["dimensions"]
    shades = np.array([entry["normalised"] for entry in dimensions], float)
    numbers = np.array([entry["error"] for entry in dimensions], float)
    rows, steps = shades.shape
    width, height = _LEFT_IN + 0.9 + 0.62 * max(8, min(steps, 18)), 1.3 + 0.36 * rows
    figure = new_figure(width, height)
    body = 0.5 / height, 1 - 1.15 / height
    axes = figure.add_axes((_LEFT_IN / width, body[0], 1 - (_LEFT_IN + 0.9) / width, body[1]))
    highest = float(np.nanmax(shades)) if np.isfinite(shades).any() else 1.0
    colours = LinearSegmentedColormap.from_list("errors", SHADES)
    drawn = axes.imshow(shades, aspect="auto", cmap=colours, vmin=0.0, vmax=highest or 1.0)
    axes.set_yticks(range(rows), [_label(entry) for entry in dimensions], fontsize=8)
    axes.set_xlabel("steps ahead", fontsize=9)
    axes.tick_params(labelsize=8)
    figure.text(0.15 / width, 1 - 0.3 / height, title, fontsize=11, va="center")
    words = "mean absolute error; numbers in the unit of the dimension, shades normalised"
    figure.text(0.15 / width, 1 - 0.52 / height, words, fontsize=8, color=QUIET, va="center")
    bar = figure.colorbar(drawn, cax=figure.add_axes((1 - 0.75 / width, body[0], 0.15 / width, body[1])))
    bar.set_label("normalised", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    if shades.size <= _MOST_WRITTEN and steps <= 18:
        for (row, step), value in np.ndenumerate(numbers):
            dark = shades[row, step] > 0.55 * highest
            text = f"{value:.2g}" if np.isfinite(value) else "-"
            axes.text(step, row, text, ha="center", va="center", fontsize=7, color="white" if dark else "#1c2733")
    return png(figure)


def _label(entry: Mapping[str, Any]) -> str:
    found = [value for value in entry.get("agreement", ()) if value is not None]
    side = f"\non the recorded side {100 * sum(found) / len(found):.0f} %" if found else ""
    return short(f"{entry['name']} [{entry['unit']}]", 48) + side
