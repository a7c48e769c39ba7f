"""What the pictures of training share: colours, bytes, plain axes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RECORDED, PREDICTED = "#33658a", "#c4571b"
# One a job, in order; the two above among them.
JOBS = ("#33658a", "#c4571b", "#0b6e4f", "#7a5195", "#a4262c", "#e0913a", "#5b6b7a", "#2a9d8f")
GRID, QUIET = "#e4e9ee", "#66727e"
# Small to large; white is empty.
SHADES = ("#f3f7fb", "#9dc3e2", "#1f6fb2", "#08306b")
_DPI = 110


def new_figure(width_in: float, height_in: float) -> Figure:
    # The object interface: no global state, no window, no font of a desktop.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), dpi=_DPI)
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure) -> bytes:
    """The same figure gives the same bytes: no time, no version of the library."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(which="both", labelsize=8)
    axes.grid(True, color=GRID, lw=0.6)
    axes.set_axisbelow(True)


def short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
