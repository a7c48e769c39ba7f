"""Camera frames of one episode out of an mp4, found by counting frames from where the episode begins."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from components.core.errors import EpisodeError, FormatError, GriplineError
from components.core.exact import EXACT
from components.formats.assemble import said
from components.formats.lazy import ForwardFrames
from components.formats.lerobot.tables import require_content

Frame = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

# A frame above this is a damaged header, not a picture.
_MAX_PIXELS = 64_000_000
# Frames before the wanted one at which to look for a key frame.
_SEEK_FRAMES = (4, 64)
# The names of encoders, and the codecs that they write.
_CODECS = {
    "libsvtav1": "av1",
    "libaom-av1": "av1",
    "libdav1d": "av1",
    "libx264": "h264",
    "avc1": "h264",
    "libx265": "hevc",
    "h265": "hevc",
    "mp4v": "mpeg4",
}


@dataclass(frozen=True)
class Header:
    """What an mp4 says before anything is decoded; `frames` is 0 and `duration_s` negative where it does not say."""

    codec: str
    width: int
    height: int
    fps: float
    frames: int
    duration_s: float


@dataclass(frozen=True)
class Clip:
    """An episode's share of an mp4: from `from_s` up to `end_s` on the clock of the file, to its end where None."""

    from_s: float = 0.0
    end_s: float | None = None


def codec_name(name: str) -> str:
    return _CODECS.get(name.lower(), name.lower())


def read_header(path: Path, *, where: str) -> Header:
    """Raises `FormatError` (bad_video, missing_file, empty, lfs_pointer, too_large)."""
    with _opened(path, where) as (_, stream):
        context = stream.codec_context
        duration = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else -1.0
        return Header(
            codec=codec_name(context.codec.canonical_name),
            width=context.width,
            height=context.height,
            fps=float(stream.average_rate or 0),
            frames=stream.frames,
            duration_s=duration,
        )


class VideoFrames(ForwardFrames[Frame]):
    """`count` frames of a clip, decoded as they are asked for, best front to back.

    uint8 [H, W, 3] RGB, or uint16 [H, W] where `depth`.

    A frame raises `EpisodeError`: bad_video, or video_too_short where the clip ends before `count` frames.
    """

    def __init__(self, path: Path, clip: Clip, count: int, fps: float, *, where: str, depth: bool = False) -> None:
        super().__init__(count)
        self._path, self._clip, self._fps, self._where = path, clip, fps, where
        self._pixels = "gray16le" if depth else "rgb24"

    def _begin(self) -> Iterator[Frame]:
        return _decoded(self._path, self._clip, self._fps, self._pixels, self._where)

    def _too_few(self, found: int) -> EpisodeError:
        return too_short(found, self._count, where=self._where)


def too_short(found: int, expected: int, *, where: str) -> EpisodeError:
    return EpisodeError(
        f"the video has {found} frames for {expected} rows",
        where=where,
        hint="Frames were lost when it was recorded or copied; leave the episode or the camera out",
        code="video_too_short",
    )


def require_frames(header: Header, clip: Clip, count: int, fps: float, *, where: str) -> None:
    """Judges from the header alone whether `count` frames can be there. Raises `EpisodeError` (video_too_short)."""
    rate = header.fps or fps
    if clip.end_s is None and header.frames and header.frames < count:
        raise too_short(header.frames, count, where=where)
    if clip.end_s is None:
        return
    spanned = max(math.ceil((clip.end_s - clip.from_s) * fps), 0)
    if spanned < count:
        raise too_short(spanned, count, where=where)
    # The duration of a file may leave out how long its last frame is shown.
    there = max(round((header.duration_s - clip.from_s) * rate), 0) + 1
    if header.duration_s >= 0 and there < count:
        raise too_short(there - 1, count, where=where)


def _decoded(path: Path, clip: Clip, fps: float, pixels: str, where: str) -> Iterator[Frame]:
    """Frames of a clip in order. A frame belongs to it from half a frame before its beginning on."""
    convert = VideoReformatter()
    size: tuple[int, int] | None = None
    with _opened(path, where) as (container, stream):
        half = Fraction(1, 2) / Fraction(fps)
        first = Fraction(clip.from_s) - half if clip.from_s > 0 else None
        end = None if clip.end_s is None else Fraction(clip.end_s)
        for frame in _frames_from(container, stream, first, Fraction(fps)):
            if frame.is_corrupt:
                raise FormatError("a frame is damaged", where=where, code="bad_video")
            seconds = None if frame.pts is None else frame.pts * frame.time_base
            if seconds is None and first is not None:
                raise FormatError("a frame without a time among several episodes", where=where, code="bad_video")
            if seconds is not None and first is not None and seconds < first:
                continue
            if seconds is not None and end is not None and seconds >= end:
                return
            if size not in (None, (frame.height, frame.width)):
                raise FormatError("its frames change their size", where=where, code="bad_video")
            size = frame.height, frame.width
            _require_size(*size, where)
            picture = convert.reformat(frame, format=pixels, interpolation=EXACT, threads=1)
            yield cast(Frame, picture.to_ndarray())


def _frames_from(container: Any, stream: Any, first: Fraction | None, fps: Fraction) -> Iterator[Any]:
    """Frames of a file from a key frame on that is not shown after the frame due at `first`.

    An mp4 is searched by the time at which frames are decoded, which for a key frame may lie well before the time at
    which it is shown; so the search begins some frames earlier, and again where it still came too late.
    """
    for margin in _SEEK_FRAMES:
        start = (first or 0) - margin / fps
        if start <= 0:
            break
        container.seek(int(start / stream.time_base), stream=stream)
        frames = container.decode(stream)
        head = next(frames, None)
        if head is not None and head.pts is not None and head.pts * head.time_base < start + (margin + 1) / fps:
            yield head
            yield from frames
            return
    if first is not None:
        container.seek(0, stream=stream)
    yield from container.decode(stream)


@contextmanager
def _opened(path: Path, where: str) -> Iterator[tuple[Any, Any]]:
    """The container and its video stream; what libav says in between is an `EpisodeError` (bad_video)."""
    require_content(path, where=where)
    try:
        with av.open(str(path), format="mp4", options={"enable_drefs": "0", "use_absolute_path": "0"}) as container:
            if not container.streams.video:
                raise EpisodeError("there is no video in it", where=where, code="bad_video")
            stream = container.streams.video[0]
            if not stream.time_base or stream.codec_context is None:
                raise EpisodeError("its video has no clock or an unknown codec", where=where, code="bad_video")
            context = stream.codec_context
            _require_size(context.height, context.width, where)
            context.thread_count = 1
            # Damaged frames are refused; by default they are painted over with what was there before.
            context.options = {"max_pixels": str(_MAX_PIXELS), "err_detect": "explode"}
            yield container, stream
    except GriplineError:
        raise
    except MemoryError as error:
        raise EpisodeError("asks for more memory than there is", where=where, code="too_large") from error
    except Exception as error:
        raise EpisodeError(f"the video cannot be decoded ({said(error)})", where=where, code="bad_video") from error


def _require_size(height: int, width: int, where: str) -> None:
    if not 0 < height * width <= _MAX_PIXELS:
        raise EpisodeError(f"its frames claim {width} x {height} pixels", where=where, code="bad_video")
