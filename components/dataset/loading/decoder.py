"""Runs of frames out of video files, with the same bytes as `components.dataset.video.decode_range`."""

from __future__ import annotations

from collections import OrderedDict
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from components.core.errors import DatasetError
from components.core.exact import EXACT

_HINT = "Restore the file or run ingest again"


class Decoder:
    """Keeps the `most_open` files last read open; for one thread.

    Each call moves to the key frame before the run and decodes on: what lies between costs decoding, no conversion.
    """

    def __init__(self, most_open: int = 8) -> None:
        self._most_open = most_open
        self._open: OrderedDict[Path, _Video] = OrderedDict()

    def decode(self, path: Path, first: int, fps: int, out: npt.NDArray[np.uint8]) -> None:
        """Frames `first` to `first + len(out)` of a file into `out`, uint8 [n, H, W, 3] RGB.

        Raises `DatasetError` where the file is missing, damaged, or does not hold exactly these frames.
        """
        held = path in self._open
        try:
            count = self._video(path).decode(first, fps, out)
        except (av.FFmpegError, OSError, ValueError, IndexError) as error:
            self._close(path)
            if held:
                # It may have been restored since it was opened.
                self.decode(path, first, fps, out)
                return
            raise DatasetError(f"video cannot be decoded: {error}", where=str(path), hint=_HINT) from error
        if count != len(out):
            raise DatasetError(
                f"{count} frames from frame {first} on, the metadata promises {len(out)}", where=str(path), hint=_HINT
            )

    def close(self) -> None:
        """Closes the files; the next call opens them again."""
        for path in list(self._open):
            self._close(path)

    def _video(self, path: Path) -> _Video:
        video = self._open.get(path)
        if video is None:
            while len(self._open) >= self._most_open:
                self._close(next(iter(self._open)))
            video = self._open[path] = _Video(path)
        self._open.move_to_end(path)
        return video

    def _close(self, path: Path) -> None:
        video = self._open.pop(path, None)
        if video is not None:
            video.container.close()


class _Video:
    """An open file."""

    def __init__(self, path: Path) -> None:
        self.container = av.open(str(path))
        self._stream = self.container.streams.video[0]
        # One thread each: runs are what goes in parallel.
        self._stream.codec_context.thread_count = 1
        self._convert = VideoReformatter()

    def decode(self, first: int, fps: int, out: npt.NDArray[np.uint8]) -> int:
        """How many frames were found."""
        step = Fraction(1, fps) / self._time_base
        start = round(first * step)
        self.container.seek(start, stream=self._stream)
        count = 0
        for frame in self.container.decode(self._stream):
            if frame.pts is None or frame.pts < start:
                continue
            # As |pts - due| > step / 2, in whole numbers.
            due = (first + count) * step.numerator
            if 2 * abs(frame.pts * step.denominator - due) > step.numerator:
                at, wanted = float(frame.pts * self._time_base), (first + count) / fps
                raise ValueError(f"a frame at {at:.3f} s where {wanted:.3f} was due")
            out[count] = self._pixels(frame, out.shape[1:])
            count += 1
            if count == len(out):
                break
        return count

    @property
    def _time_base(self) -> Fraction:
        base = self._stream.time_base
        assert base is not None
        return base

    def _pixels(self, frame: Any, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        """A view [H, W, 3] of the frame's pixels; it holds until the next frame."""
        if (frame.height, frame.width) != shape[:2]:
            raise ValueError(f"a picture of {frame.width}x{frame.height}, expected {shape[1]}x{shape[0]}")
        if frame.format.name != "rgb24":
            frame = self._convert.reformat(frame, format="rgb24", interpolation=EXACT, threads=1)
        plane = frame.planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(frame.height, plane.line_size)
        return rows[:, : 3 * frame.width].reshape(shape)
