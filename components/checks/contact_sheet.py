"""A picture of what was judged: some accepted episodes of every task, and those set aside with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from components.checks.records import records
from components.checks.verdicts import Verdicts

if TYPE_CHECKING:
    from components.dataset.reader import Dataset

PER_TASK = 3
MOST_QUARANTINED = 30
_COLUMNS = 3
_THUMB_PX = 96
_GAP_PX = 8
_FRAME_PX = 3
_LINE_PX = 18
# Where in the episode the first camera is looked at; the others are shown at the middle one.
_MOMENTS = (0.1, 0.5, 0.9)

_PAPER = (250, 250, 250)
_INK = (40, 40, 40)
_GREY = (190, 190, 190)
RED = (200, 30, 30)


@dataclass(frozen=True)
class Strip:
    """One episode on the sheet: thumbnails in a row, two lines of words below, red where it was set aside."""

    episode_index: int
    title: str
    reason: str = ""


def choose(verdicts: Verdicts) -> tuple[list[Strip], list[Strip], int]:
    """Accepted strips (up to `PER_TASK` a task, evenly over the dataset), quarantined ones, and how many lack room."""
    accepted: list[Strip] = []
    rows = records(verdicts.table)
    good = [row for row in rows if verdicts.verdict(row["episode_id"]) == "accepted"]
    for task in sorted({row["task"] for row in good}):
        of_task = [row for row in good if row["task"] == task]
        picked = np.unique(np.linspace(0, len(of_task) - 1, min(PER_TASK, len(of_task))).round().astype(int))
        accepted += [Strip(row["episode_index"], _title(row)) for row in (of_task[number] for number in picked)]
    bad = [row for row in rows if verdicts.verdict(row["episode_id"]) != "accepted"]
    quarantined = [
        Strip(row["episode_index"], _title(row), ", ".join(verdicts.codes(row["episode_id"], "error")))
        for row in bad[:MOST_QUARANTINED]
    ]
    return accepted, quarantined, len(bad) - len(quarantined)


def write_contact_sheet(path: Path, dataset: Dataset, verdicts: Verdicts) -> None:
    """Writes a PNG; the same dataset and verdicts give the same bytes."""
    accepted, quarantined, left_out = choose(verdicts)
    more = f", {left_out} more not shown" if left_out else ""
    sections = [
        (
            f"accepted: {sum(verdicts.verdict(e) == 'accepted' for e in verdicts.table['episode_id'])} episodes",
            accepted,
        ),
        (f"set aside: {len(quarantined) + left_out} episodes{more}", quarantined),
    ]
    thumbs = len(_MOMENTS) + len(dataset.cameras) - 1
    width = thumbs * _THUMB_PX + 2 * _FRAME_PX + _GAP_PX
    height = _THUMB_PX + 2 * _FRAME_PX + 2 * _LINE_PX + _GAP_PX
    rows = sum(-(-len(strips) // _COLUMNS) for _, strips in sections)
    size = (_COLUMNS * width + _GAP_PX, rows * height + len(sections) * 2 * _LINE_PX + _GAP_PX)
    sheet = Image.new("RGB", size, _PAPER)
    top = _GAP_PX
    for heading, strips in sections:
        ImageDraw.Draw(sheet).text((_GAP_PX, top), heading, fill=_INK, font=_font(15))
        top += 2 * _LINE_PX
        for number, strip in enumerate(strips):
            row, column = divmod(number, _COLUMNS)
            _paste(sheet, (_GAP_PX + column * width, top + row * height), _thumbnails(dataset, strip), strip)
        top += -(-len(strips) // _COLUMNS) * height
    sheet.save(path, format="PNG", optimize=False, compress_level=6)


def _title(row: dict[str, object]) -> str:
    return f"{row['task']}  {row['source_uri']}"


def _thumbnails(dataset: Dataset, strip: Strip) -> list[Image.Image]:
    """The first camera at `_MOMENTS`, then every other camera in the middle."""
    first, *others = dataset.cameras
    images = dataset.images(strip.episode_index, first)
    last = len(images) - 1
    shown = [images[round(moment * last)] for moment in _MOMENTS]
    shown += [dataset.images(strip.episode_index, camera)[round(0.5 * last)] for camera in others]
    return [Image.fromarray(image).resize((_THUMB_PX, _THUMB_PX), Image.Resampling.BILINEAR) for image in shown]


def _paste(sheet: Image.Image, at: tuple[int, int], thumbs: list[Image.Image], strip: Strip) -> None:
    left, top = at
    draw = ImageDraw.Draw(sheet)
    right = left + len(thumbs) * _THUMB_PX + 2 * _FRAME_PX - 1
    bottom = top + _THUMB_PX + 2 * _FRAME_PX - 1
    draw.rectangle((left, top, right, bottom), fill=RED if strip.reason else _GREY)
    for number, thumb in enumerate(thumbs):
        sheet.paste(thumb, (left + _FRAME_PX + number * _THUMB_PX, top + _FRAME_PX))
    wide = right - left
    draw.text((left, bottom + 2), _fit(draw, strip.title, wide), fill=_INK, font=_font(11))
    draw.text((left, bottom + 2 + _LINE_PX - 3), _fit(draw, strip.reason, wide), fill=RED, font=_font(11))


def _fit(draw: ImageDraw.ImageDraw, words: str, width: int) -> str:
    """`words`, cut at the end where they are wider than `width`."""
    if draw.textlength(words, font=_font(11)) <= width:
        return words
    while words and draw.textlength(f"{words}…", font=_font(11)) > width:
        words = words[:-1]
    return f"{words}…"


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
