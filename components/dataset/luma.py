"""How bright the pictures of a camera are, without colour: what the checks look at, for little more than decoding."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from components.core.errors import DatasetError
from components.core.exact import EXACT
from components.dataset.places import Place

# Frames handed out at once.
BLOCK = 64
_HINT = "Restore the file or run ingest again"
# Formats whose first plane is brightness, 8 bits a pixel.
_PLANAR = ("yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj444p", "gray")
_ALWAYS_FULL = ("yuvj420p", "yuvj444p", "gray")
_FULL_RANGE = 2


class LumaReader:
    """Reads episodes of one camera, without a seek where they follow each other in a file. For one thread."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._container: Any = None
        self._frames: Iterator[Any] = iter(())
        self._next = -1
        self._convert = VideoReformatter()
        self._step = Fraction(1)
        self._is_planar = True
        self.full_range = False

    def read(self, place: Place, fps: int) -> Iterator[npt.NDArray[np.uint8]]:
        """Blocks uint8 [n <= BLOCK, H, W], front to back; each is overwritten by the next.

        Brightness as it is coded: 0..255 where `full_range` says so, else 16..235. Raises `DatasetError` where the file
        is missing, damaged, or does not hold exactly these frames.
        """
        try:
            yield from self._blocks(place, fps)
        except (av.FFmpegError, OSError, ValueError, IndexError) as error:
            self.close()
            raise DatasetError(f"video cannot be decoded: {error}", where=str(place.path), hint=_HINT) from error

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
        self._path, self._container, self._next = None, None, -1

    def _blocks(self, place: Place, fps: int) -> Iterator[npt.NDArray[np.uint8]]:
        self._go_to(place, fps)
        block: npt.NDArray[np.uint8] | None = None
        filled = 0
        for number in range(place.first, place.first + place.length):
            plane = self._plane(number)
            if block is None:
                block = np.empty((min(BLOCK, place.length), *plane.shape), np.uint8)
            block[filled] = plane
            filled += 1
            if filled == len(block):
                yield block
                filled = 0
        if filled and block is not None:
            yield block[:filled]

    def _go_to(self, place: Place, fps: int) -> None:
        if self._path != place.path:
            self._open(place.path, fps)
        if self._next != place.first:
            stream = self._container.streams.video[0]
            self._container.seek(round(place.first * self._step), stream=stream)
            self._frames = self._container.decode(stream)
            self._next = place.first

    def _open(self, path: Path, fps: int) -> None:
        self.close()
        self._container, self._path, self._next = av.open(str(path)), path, 0
        stream = self._container.streams.video[0]
        stream.codec_context.thread_count = 1
        self._frames = self._container.decode(stream)
        self._step = Fraction(1, fps) / stream.time_base
        self._is_planar = stream.codec_context.pix_fmt in _PLANAR
        full = stream.codec_context.color_range == _FULL_RANGE or stream.codec_context.pix_fmt in _ALWAYS_FULL
        self.full_range = full or not self._is_planar

    def _plane(self, number: int) -> npt.NDArray[np.uint8]:
        """A view [H, W] of one frame, good until the next."""
        # In whole numbers: fractions would cost a sixth of the decoding.
        due, half = number * self._step.numerator, self._step.numerator // 2
        for frame in self._frames:
            late = frame.pts * self._step.denominator - due
            if late < -half:
                continue
            if late > half:
                at, wanted = float(frame.pts * frame.time_base), float(number * self._step * frame.time_base)
                raise ValueError(f"a frame at {at:.3f} s where {wanted:.3f} was due")
            self._next = number + 1
            if not self._is_planar:
                frame = self._convert.reformat(frame, format="gray", interpolation=EXACT, threads=1)
            plane = frame.planes[0]
            rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            return rows[: frame.height, : frame.width]
        raise ValueError(f"ends before frame {number}, which the metadata promises")
