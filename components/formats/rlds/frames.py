"""Pictures of a record that are read from the file when somebody looks at them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from components.core.errors import EpisodeError
from components.formats.images import MAX_PIXELS
from components.formats.lazy import LazyFrames
from components.formats.rlds.tfrecord import Span

# Above this an encoded picture shows something.
_MAX_PADDING_BYTES = 1 << 16


class RecordFrames(LazyFrames[bytes]):
    """Encoded pictures by their place in the file; nothing of the record stays in memory."""

    def __init__(self, path: Path, spans: Sequence[Span], where: str) -> None:
        self._path, self._spans, self._where = path, spans, where

    def __len__(self) -> int:
        return len(self._spans)

    def _frame(self, number: int) -> bytes:
        span = self._spans[number]
        try:
            with self._path.open("rb") as stream:
                stream.seek(span.offset)
                data = stream.read(span.length)
        except OSError as error:
            said = f"cannot be opened ({error.strerror})"
            raise EpisodeError(said, where=self._where, code="unreadable") from error
        if len(data) < span.length:
            raise EpisodeError("the file became shorter while it was read", where=self._where, code="truncated")
        return data


def spans_in(payload: bytes, pictures: Sequence[bytes], offset: int) -> tuple[Span, ...]:
    """Where the bytes of each picture lie in a file whose record begins at `offset`.

    They are written one after the other; equal bytes elsewhere are as good.
    """
    spans, after = [], 0
    for picture in pictures:
        place = payload.find(picture, after)
        if place < 0:
            place = payload.find(picture)
        spans.append(Span(offset + place, len(picture)))
        after = place + len(picture)
    return tuple(spans)


def is_padding(pictures: Sequence[bytes] | npt.NDArray[np.uint8]) -> bool:
    """Whether every picture is the same and of one colour: what a data set puts where there is no camera."""
    if isinstance(pictures, np.ndarray):
        return bool(pictures.size) and bool((pictures == pictures.flat[0]).all())
    if not pictures or len(pictures[0]) > _MAX_PADDING_BYTES or any(picture != pictures[0] for picture in pictures):
        return False
    try:
        with Image.open(io.BytesIO(pictures[0]), formats=("JPEG", "PNG")) as image:
            if image.width * image.height > MAX_PIXELS:
                return False
            extrema = image.convert("RGB").getextrema() if image.mode != "I;16" else (image.getextrema(),)
    except Exception:
        # Damaged: that is said when it is decoded as a camera frame.
        return False
    return all(low == high for low, high in extrema)  # type: ignore[misc]
