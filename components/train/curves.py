"""The learning curves of all jobs of a run on one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from components.train.drawing import JOBS, new_figure, plain, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FILE_NAME = "curves.png"
# Key of a line of metrics.jsonl, what the panel says, whether its axis is logarithmic.
_PANELS = (
    ("loss", "training loss", True),
    ("val_loss", "held-out loss", True),
    ("val_action_error", "held-out action error", True),
    ("learning_rate", "learning rate", False),
    ("grad_norm", "gradient norm", True),
)
_COLUMNS = 3
# How many times the smallest value the largest must be.
_LOG_FROM = 3.0

Lines = Sequence[Mapping[str, Any]]


def draw_curves(lines: Mapping[str, Lines]) -> bytes:
    """PNG. `lines`: those of metrics.jsonl by job. A panel that no job has numbers for is left out."""
    panels = [panel for panel in _PANELS if any(len(series(of_job, panel[0])) for of_job in lines.values())]
    rows = max(1, -(-len(panels) // _COLUMNS))
    columns = max(1, min(_COLUMNS, len(panels)))
    figure = new_figure(4.6 * columns, 0.45 + 2.9 * rows)
    grid = figure.add_gridspec(
        rows, columns, left=0.19 / columns, right=1 - 0.06 / columns, wspace=0.24, hspace=0.36,
        bottom=0.5 / (0.45 + 2.9 * rows), top=1 - 0.75 / (0.45 + 2.9 * rows),
    )  # fmt: skip
    handles: dict[str, Any] = {}
    for place, panel in enumerate(panels):
        handles |= _draw_panel(figure.add_subplot(grid[place // columns, place % columns]), panel, lines)
    figure.legend(handles.values(), handles.keys(), ncols=8, frameon=False, fontsize=9, loc="upper center")
    return png(figure)


def series(lines: Lines, key: str) -> np.ndarray:
    """float [n, 2] of step and value, those that are not finite left out.

    The loss is that of the lines that training wrote; a validation's own is over other steps.
    """
    wanted = (line for line in lines if key != "loss" or "val_loss" not in line)
    found = [(line["step"], line[key]) for line in wanted if line.get(key) is not None]
    pairs = np.array(found, float).reshape(-1, 2)
    return pairs[np.isfinite(pairs).all(axis=1)]


def _draw_panel(axes: Axes, panel: tuple[str, str, bool], lines: Mapping[str, Lines]) -> dict[str, Any]:
    key, says, logarithmic = panel
    found = {name: series(of_job, key) for name, of_job in lines.items()}
    handles = {}
    for place, (name, pairs) in enumerate(found.items()):
        if len(pairs):
            few = "o" if len(pairs) < 15 else ""
            colour = JOBS[place % len(JOBS)]
            (handles[name],) = axes.plot(*pairs.T, color=colour, lw=1.2, marker=few, ms=3, label=name)
    values = np.concatenate([pairs[:, 1] for pairs in found.values()])
    if logarithmic and 0 < _LOG_FROM * values.min() < values.max():
        _logarithmic(axes, values.max() / values.min())
    axes.set_title(says, fontsize=10, loc="left")
    axes.set_xlabel("step", fontsize=8)
    plain(axes)
    return handles


def _logarithmic(axes: Axes, span: float) -> None:
    """Plain numbers, also between powers of ten where there are few of these."""
    from matplotlib.ticker import NullFormatter, StrMethodFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(StrMethodFormatter("{x:g}") if span < 10 else NullFormatter())
