"""Frames of an MP4 beside an HDF5 file, decoded one after the other when somebody looks at them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from components.core.errors import FormatError
from components.formats.assemble import library_errors
from components.formats.lazy import ForwardFrames

Picture = npt.NDArray[np.uint8]

_MOST_PIXELS = 64_000_000


def count_frames(path: Path, *, where: str) -> int:
    """Frames by their packets, without decoding any; headers may lie. Raises `FormatError` (bad_video, too_large)."""
    with library_errors(where, code="bad_video"), _opened(path, where) as container:
        return sum(1 for packet in container.demux(video=0) if packet.size)


def _opened(path: Path, where: str) -> Any:
    """A container with a video; always MP4, so that no playlist can lead to other files."""
    container = av.open(str(path), format="mp4")
    try:
        if not container.streams.video:
            raise FormatError("holds no video", where=where, code="bad_video")
        codec = container.streams.video[0].codec_context
        if codec is None:
            raise FormatError("holds a video of an unknown codec", where=where, code="bad_video")
        if codec.width * codec.height > _MOST_PIXELS:
            raise FormatError(f"claims {codec.width} x {codec.height} pixels", where=where, code="too_large")
    except BaseException:
        container.close()
        raise
    return container


class VideoFrames(ForwardFrames[Picture]):
    """uint8 [H, W, 3] RGB frames. Front to back costs one decoding; going back starts over.

    `flip`, `bgr`: as in `StreamRule`. Raises `FormatError` (bad_video, too_large) when a frame is taken.
    """

    def __init__(self, path: Path, count: int, *, flip: bool = False, bgr: bool = False, where: str) -> None:
        super().__init__(count)
        self._path, self._flip, self._bgr, self._where = path, flip, bgr, where

    def _too_few(self, found: int) -> FormatError:
        return FormatError(f"the video ends after {found} of {self._count} frames", where=self._where, code="bad_video")

    def _begin(self) -> Iterator[Picture]:
        with library_errors(self._where, code="bad_video"), _opened(self._path, self._where) as container:
            # One thread: the pool of workers is what keeps the cores busy.
            container.streams.video[0].codec_context.thread_type = "NONE"
            for frame in container.decode(video=0):
                if frame.width * frame.height > _MOST_PIXELS:
                    raise FormatError(
                        f"claims {frame.width} x {frame.height} pixels", where=self._where, code="too_large"
                    )
                image = frame.to_ndarray(format="bgr24" if self._bgr else "rgb24")
                yield np.array(image[::-1] if self._flip else image, order="C")
