"""The page of sample predictions: what a camera saw, and the predicted actions drawn against the recorded ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from components.core.spec import Embodiment
from components.train.action_errors import dimensions_of
from components.train.drawing import PREDICTED, QUIET, RECORDED, new_figure, plain, png, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from components.train.samples import Samples, Shown

_WIDTH_IN, _PLOT_IN, _TITLE_IN, _TOP_IN = 14.0, 1.55, 0.3, 0.75
# Dimensions in a row, and on the page.
_COLUMNS, _MOST = 4, 16
# Share of the limits of a dimension that its axis spans at least.
_LEAST_SPAN = 0.2

Chunks = Sequence[npt.NDArray[np.floating]]


def draw_samples(samples: Samples, chunks: Chunks, body: Embodiment, *, title: str) -> bytes:
    """PNG. `chunks`: for each episode [n, H, A], as `predictions` gives them."""
    shown = dimensions_shown(samples, chunks)
    rows = -(-len(shown) // _COLUMNS)
    image_in = _image_height(samples)
    block = image_in + rows * _PLOT_IN + _TITLE_IN
    height = _TOP_IN + block * len(samples.episodes)
    figure = new_figure(_WIDTH_IN, height)
    _heading(figure, title, height, len(shown), body.action.dim)
    heights = [_TOP_IN, *[block] * len(samples.episodes)]
    _, *blocks = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    for place, episode, chunk in zip(blocks, samples.episodes, chunks, strict=True):
        _draw_episode(place, episode, chunk, body, shown, (image_in, block))
    return png(figure)


def dimensions_shown(samples: Samples, chunks: Chunks) -> list[int]:
    """All action dimensions, or the `_MOST` whose predictions are furthest from what was recorded, by its spread."""
    dims = chunks[0].shape[2]
    if dims <= _MOST:
        return list(range(dims))
    errors = np.zeros(dims)
    for episode, chunk in zip(samples.episodes, chunks, strict=True):
        spread = np.maximum(np.std(episode.recorded, axis=0), 1e-9)
        for frame, predicted in zip(episode.frames, chunk, strict=True):
            recorded = episode.recorded[frame : frame + len(predicted)]
            errors += (np.abs(predicted[: len(recorded)] - recorded) / spread).mean(axis=0)
    return sorted(np.argsort(-errors, kind="stable")[:_MOST].tolist())


def _image_height(samples: Samples) -> float:
    """Inches, so that all pictures of an episode fit beside each other."""
    pictures = max(len(episode.frames) for episode in samples.episodes) * len(samples.cameras)
    return float(min(1.7, (_WIDTH_IN - 1.0) / pictures))


def _heading(figure: Figure, title: str, height: float, shown: int, dims: int) -> None:
    figure.text(0.01, 1 - 0.28 / height, title, fontsize=13, va="center")
    left_out = "" if shown == dims else f"; {shown} of {dims} dimensions, those furthest from what was recorded"
    words = ("recorded", RECORDED), (f"predicted at the frames of the pictures{left_out}", PREDICTED)
    left = 0.012
    for text, colour in words:
        figure.text(left, 1 - 0.55 / height, f"━ {text}", color=colour, fontsize=9, va="center")
        left += 0.09


def _draw_episode(
    block: SubFigure,
    episode: Shown,
    chunk: npt.NDArray[np.floating],
    body: Embodiment,
    shown: Sequence[int],
    inches: tuple[float, float],
) -> None:
    image_in, block_in = inches
    top = 1 - _TITLE_IN / block_in
    block.text(0.01, 1 - 0.5 * _TITLE_IN / block_in, short(episode.title, 150), fontsize=10, va="center")
    _draw_images(block, episode, top - image_in / block_in, top)
    rows = -(-len(shown) // _COLUMNS)
    grid = block.add_gridspec(
        rows, _COLUMNS, left=0.045, right=0.99, bottom=0.35 / block_in, top=top - (image_in + 0.28) / block_in,
        hspace=0.75, wspace=0.22,
    )  # fmt: skip
    dimensions = dimensions_of(body)
    for place, dim in enumerate(shown):
        axes = block.add_subplot(grid[place // _COLUMNS, place % _COLUMNS])
        axes.plot(episode.recorded[:, dim], color=RECORDED, lw=1.1)
        for frame, predicted in zip(episode.frames, chunk, strict=True):
            # What is predicted beyond the end of the episode has nothing to be compared with.
            ahead = predicted[: len(episode.recorded) - frame, dim]
            axes.plot(frame + np.arange(len(ahead)), ahead, color=PREDICTED, lw=1.6)
            axes.plot(frame, ahead[0], "o", color=PREDICTED, ms=3)
        _widen(axes, _LEAST_SPAN * (body.action.high[dim] - body.action.low[dim]))
        name, unit = dimensions[dim]
        axes.set_title(short(f"{name} [{unit}]", 46), fontsize=8, pad=3)
        plain(axes)
        if place >= len(shown) - _COLUMNS:
            axes.set_xlabel("frame", fontsize=8, labelpad=1)


def _widen(axes: Axes, least: float) -> None:
    """So that a small error about a value that stands still looks small."""
    low, high = axes.get_ylim()
    if high - low < least:
        axes.set_ylim((low + high - least) / 2, (low + high + least) / 2)


def _draw_images(block: SubFigure, episode: Shown, bottom: float, top: float) -> None:
    cameras = episode.images.shape[1]
    width = 0.98 / (len(episode.frames) * cameras)
    for place, frame in enumerate(episode.frames):
        for camera in range(cameras):
            number = place * cameras + camera
            axes = block.add_axes((0.01 + number * width, bottom, width * 0.97, (top - bottom) * 0.9))
            axes.imshow(episode.images[place, camera], interpolation="bilinear")
            axes.set_axis_off()
            if camera == 0:
                axes.set_title(f"frame {frame}", fontsize=8, color=QUIET, pad=2, loc="left")
