"""The pictures of one camera and episode, one by one, by the same measures as all together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.checks.measure.pictures import SAME_PICTURE, CameraFacts, block_means
from components.core.params import Checks
from components.dataset.luma import LumaReader
from components.dataset.reader import Dataset

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
_WIDE = 255 / 219


@dataclass(frozen=True, eq=False)
class Seen:
    """Of each picture [T]; `same` [T - 1]: whether it shows what the one before showed."""

    light: Floats
    detail: Floats
    clipped_dark: Floats
    clipped_bright: Floats
    dark: Flags
    even: Flags
    same: Flags


def look(dataset: Dataset, index: int, camera: str, params: Checks) -> Seen:
    """Raises `DatasetError` where the pictures cannot be decoded."""
    video = LumaReader()
    each: list[dict[str, float]] = []
    change: list[float] = []
    last: npt.NDArray[np.float32] | None = None
    try:
        for block in video.read(dataset.video_place(index, camera), dataset.fps):
            grids = block_means(block) * np.float32(1.0 if video.full_range else _WIDE)
            chain = grids if last is None else np.concatenate([last, grids])
            change += np.abs(np.diff(chain, axis=0)).max(axis=(1, 2)).tolist()
            last = grids[-1:].copy()
            each += [_alone(block[at : at + 1], video.full_range, params.black_level) for at in range(len(block))]
    finally:
        video.close()
    columns = {name: np.array([facts[name] for facts in each]) for name in each[0]}
    return Seen(
        columns["brightness"],
        columns["detail"],
        columns["clipped_dark"],
        columns["clipped_bright"],
        columns["black_share"] > 0,
        columns["even_share"] > 0,
        np.array(change) <= SAME_PICTURE,
    )


def _alone(picture: npt.NDArray[np.uint8], full_range: bool, black_level: float) -> dict[str, float]:
    facts = CameraFacts(1)
    facts.take([picture], full_range=full_range)
    return facts.facts(np.zeros(0, bool), black_level)
