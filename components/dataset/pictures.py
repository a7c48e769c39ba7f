"""Frames of a dataset as JPEG, in constant memory."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from components.dataset.reader import Dataset
from components.dataset.video import DEPTH_FORMAT, decode_range

# Frames decoded at once: seeking costs as much as a few frames, and a frame of a camera can have megabytes.
_BLOCK = 64


def frame(dataset: Dataset, episode_index: int, camera: str, tick: int) -> npt.NDArray[np.uint8]:
    """One frame of a camera: uint8 [H, W, 3] RGB."""
    path, first, _ = dataset.video_place(episode_index, camera)
    image: npt.NDArray[np.uint8] = decode_range(path, first + tick, 1, dataset.fps)[0]
    return image


def frames(dataset: Dataset, episode_index: int, camera: str) -> Iterator[npt.NDArray[np.uint8]]:
    """All frames of a camera, one after the other: uint8 [H, W, 3] RGB."""
    path, first, length = dataset.video_place(episode_index, camera)
    for start in range(0, length, _BLOCK):
        yield from decode_range(path, first + start, min(_BLOCK, length - start), dataset.fps)


def depth_frames(dataset: Dataset, episode_index: int, camera: str) -> Iterator[npt.NDArray[np.uint16]]:
    """All frames of a depth camera: uint16 [H, W] in millimetres."""
    path, first, length = dataset.depth_place(episode_index, camera)
    for start in range(0, length, _BLOCK):
        count = min(_BLOCK, length - start)
        yield from decode_range(path, first + start, count, dataset.fps, pix_fmt=DEPTH_FORMAT)


def jpeg(image: npt.NDArray[np.uint8], *, quality: int, widest_px: int | None = None) -> bytes:
    """uint8 [H, W, 3] RGB or [H, W] grey, made smaller where it is wider than `widest_px`."""
    picture = Image.fromarray(image)
    if widest_px is not None and picture.width > widest_px:
        height = max(1, round(picture.height * widest_px / picture.width))
        picture = picture.resize((widest_px, height), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()


def grey(depth: npt.NDArray[Any], farthest_mm: int) -> npt.NDArray[np.uint8]:
    """Depth as brightness: near is bright, `farthest_mm` and what was not measured (0) is black."""
    near = 255 - np.minimum(depth.astype(np.float32) / max(farthest_mm, 1), 1.0) * 255
    return np.where(depth == 0, 0, near).astype(np.uint8)


def data_uri(data: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()
