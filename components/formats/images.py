"""Camera frames as arrays: decoded only when somebody looks at them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from components.core.errors import EpisodeError
from components.formats.lazy import LazyFrames
from components.formats.mapping import StreamRule

Frame = npt.NDArray[np.uint8]
Depth = npt.NDArray[np.uint16]

_FORMATS = ("JPEG", "PNG")
# A camera frame above this is a damaged header, not a picture.
MAX_PIXELS = 64_000_000


def decode_image(frame: Frame | bytes, *, where: str) -> Frame:
    """uint8 [H, W, 3] RGB from an array (as it is) or from JPEG/PNG bytes. Raises `EpisodeError` (bad_image)."""
    if isinstance(frame, np.ndarray):
        return frame
    try:
        with Image.open(io.BytesIO(frame), formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels")
            return np.asarray(image.convert("RGB"))
    # Pillow raises OSError, SyntaxError, ValueError, struct.error and more on damaged bytes.
    except Exception as error:
        raise EpisodeError(f"a camera frame cannot be decoded ({error})", where=where, code="bad_image") from error


def decode_depth(frame: Depth | bytes, *, where: str) -> Depth:
    """uint16 [H, W] millimetres from an array (as it is) or 16-bit PNG bytes. Raises `EpisodeError` (bad_image)."""
    if isinstance(frame, np.ndarray):
        return frame
    try:
        with Image.open(io.BytesIO(frame), formats=("PNG",)) as image:
            if image.width * image.height > MAX_PIXELS or image.mode not in ("I;16", "I;16B", "I"):
                raise ValueError(f"{image.width} x {image.height} pixels, mode {image.mode}")
            values = np.asarray(image)
    except Exception as error:
        raise EpisodeError(f"a depth frame cannot be decoded ({error})", where=where, code="bad_image") from error
    return values.astype(np.uint16)


class _Oriented(LazyFrames[Frame | Depth]):
    """Frames in another order of colours or rows, made when they are looked at."""

    def __init__(self, frames: Sequence[Any], rule: StreamRule, where: str) -> None:
        self._frames, self._rule, self._where = frames, rule, where

    def __len__(self) -> int:
        return len(self._frames)

    def _frame(self, number: int) -> Frame | Depth:
        frame = self._frames[number]
        swap = self._rule.order == "bgr" and self._rule.kind == "image" and isinstance(frame, np.ndarray)
        decode = decode_depth if self._rule.kind == "depth" else decode_image
        picture: Any = decode(frame, where=self._where)
        picture = picture[::-1] if self._rule.flip else picture
        return np.ascontiguousarray(picture[..., ::-1] if swap else picture)


def oriented(frames: Sequence[Any], rule: StreamRule, *, where: str) -> Sequence[Any]:
    """Frames as they are, or lazily as a rule asks for: `order` of raw arrays, `flip` of the rows of any picture."""
    if not rule.flip and (rule.order == "rgb" or rule.kind != "image"):
        return frames
    return _Oriented(frames, rule, where)
