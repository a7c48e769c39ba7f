"""Video of one episode: frames to mp4 bytes and back. Same frames and settings give the same bytes."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from components.core.errors import DatasetError, ParamsError
from components.core.exact import EXACT
from components.core.params import Video

# The usual effort first. At equal quality "veryfast" takes 0.4 of the time of "medium" and a fifth more space.
_PRESETS = {
    "h264": ("veryfast", "ultrafast", "superfast", "faster", "fast", "medium", "slow", "slower", "veryslow"),
    "libsvtav1": ("8", *(str(effort) for effort in range(14) if effort != 8)),
}
_PIX_FMTS = {"h264": ("yuv420p", "yuv444p"), "libsvtav1": ("yuv420p",)}
# Depth in millimetres as it is coded: 16 bits, no colour.
DEPTH_FORMAT = "gray16le"
_MATRIX_BT601 = 6
_RANGE_LIMITED = 1


def encode_episode(frames: Iterable[npt.NDArray[np.uint8]], fps: int, video: Video) -> bytes:
    """One mp4 of uint8 [H, W, 3] RGB frames, starting at a key frame; takes one frame at a time.

    Safe to run in a worker process. Raises `ParamsError` for settings that no encoder here can do, and `DatasetError`
    where there is no frame.
    """
    settings = encoder_settings(video)
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 writes its banner to stderr otherwise
    return _encode(frames, "rgb24", video.pix_fmt, fps, settings["encoder"], settings["options"])


def encode_depth(frames: Iterable[npt.NDArray[np.uint16]], fps: int) -> bytes:
    """One mp4 of uint16 [H, W] frames, without loss: FFV1, every frame a key frame with a checksum of its own."""
    return _encode(frames, DEPTH_FORMAT, DEPTH_FORMAT, fps, "ffv1", {"level": "3", "g": "1", "slicecrc": "1"})


def _encode(
    frames: Iterable[npt.NDArray[Any]], given: str, kept: str, fps: int, encoder: str, options: dict[str, str]
) -> bytes:
    buffer = io.BytesIO()
    stream: VideoStream | None = None
    convert = VideoReformatter()
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        for index, image in enumerate(frames):
            if stream is None:
                stream = _add_stream(container, image.shape, kept, fps, encoder, options)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=given)
            if kept != given:
                frame = convert.reformat(frame, format=kept, interpolation=EXACT, threads=1)
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(stream.encode(frame))
        if stream is None:
            raise DatasetError("a video of no frame")
        container.mux(stream.encode())
    return buffer.getvalue()


def _add_stream(
    container: Any, shape: tuple[int, ...], pix_fmt: str, fps: int, encoder: str, options: dict[str, str]
) -> VideoStream:
    stream = container.add_stream(encoder, rate=fps, options=options)
    assert isinstance(stream, VideoStream)
    stream.height, stream.width, stream.pix_fmt = shape[0], shape[1], pix_fmt
    context = stream.codec_context
    context.thread_count = 1
    if encoder != "ffv1":
        context.colorspace, context.color_range = _MATRIX_BT601, _RANGE_LIMITED
    return stream


def encoder_settings(video: Video) -> dict[str, Any]:
    """Encoder name and options for `video`; one thread each, since episodes are what runs in parallel."""
    if video.codec not in _PRESETS:
        raise ParamsError(f"ingest.video.codec is {video.codec!r}, expected one of {', '.join(sorted(_PRESETS))}")
    if video.pix_fmt not in _PIX_FMTS[video.codec]:
        allowed = ", ".join(_PIX_FMTS[video.codec])
        raise ParamsError(f"ingest.video.pix_fmt is {video.pix_fmt!r}; {video.codec} takes {allowed} here")
    options = {"crf": str(video.crf), "g": str(video.gop), "preset": _preset(video)}
    if video.codec == "h264":
        if video.crf > 51:
            raise ParamsError(f"ingest.video.crf is {video.crf}; h264 takes 0 to 51")
        # Without B-frames every packet shows one frame in order, so episodes can be joined packet by packet.
        # x264's macroblock tree reads memory that it did not write: with it, one encoding in tens comes out differently
        # at any size (measured at 32, 96 and 224 px).
        return {"encoder": "libx264", "options": options | {"x264-params": "bframes=0:scenecut=0:mbtree=0:threads=1"}}
    return {"encoder": "libsvtav1", "options": options | {"svtav1-params": "lp=1"}}


def _preset(video: Video) -> str:
    known = _PRESETS[video.codec]
    if video.preset is not None and video.preset not in known:
        raise ParamsError(f"ingest.video.preset is {video.preset!r}; {video.codec} takes {', '.join(sorted(known))}")
    return video.preset or known[0]


def video_info(video: Video, *, height: int, width: int, fps: int) -> dict[str, Any]:
    """The `info` of a video feature in info.json."""
    return {
        "video.height": height,
        "video.width": width,
        "video.codec": "av1" if video.codec == "libsvtav1" else video.codec,
        "video.pix_fmt": video.pix_fmt,
        "video.fps": fps,
        "video.channels": 3,
        "video.is_depth_map": False,
        "has_audio": False,
        "video.g": video.gop,
        "video.crf": video.crf,
        "video.preset": _preset(video),
    }


def decode_episode(data: bytes) -> npt.NDArray[np.uint8]:
    """All frames of an mp4 in memory: uint8 [T, H, W, 3] RGB. Raises `DatasetError` where it cannot be decoded."""
    try:
        with av.open(io.BytesIO(data)) as container:
            return np.stack(list(_frames(container, 0, 0, "rgb24")))
    except (av.FFmpegError, ValueError, IndexError) as error:
        raise DatasetError(f"video cannot be decoded: {error}") from error


def decode_range(path: Path, first: int, count: int, fps: int, *, pix_fmt: str = "rgb24") -> npt.NDArray[Any]:
    """Frames `first` to `first + count` of a file: uint8 [count, H, W, 3] RGB; uint16 [count, H, W] for `DEPTH_FORMAT`.

    Raises `DatasetError` where the file is missing, damaged, or does not hold exactly these frames.
    """
    frames: list[npt.NDArray[Any]] = []
    try:
        with av.open(str(path)) as container:
            for frame in _frames(container, first, fps, pix_fmt):
                frames.append(frame)
                if len(frames) == count:
                    break
    except (av.FFmpegError, OSError, ValueError, IndexError) as error:
        raise DatasetError(f"video cannot be decoded: {error}", where=str(path)) from error
    if len(frames) != count:
        raise DatasetError(
            f"{len(frames)} frames from frame {first} on, the metadata promises {count}",
            where=str(path),
            hint="Restore the file or run ingest again",
        )
    return np.stack(frames)


def _frames(container: Any, first: int, fps: int, pix_fmt: str) -> Iterator[npt.NDArray[Any]]:
    stream = container.streams.video[0]
    stream.codec_context.thread_count = 1
    start = 0
    if first:
        start = round(Fraction(first, fps) / stream.time_base)
        container.seek(start, stream=stream)
    step = Fraction(1, fps) / stream.time_base if fps else Fraction(0)
    convert = VideoReformatter()
    expected = first
    for frame in container.decode(stream):
        if frame.pts is None or frame.pts < start:
            continue
        if fps and abs(frame.pts - expected * step) > step / 2:
            raise ValueError(
                f"a frame at {float(frame.pts * stream.time_base):.3f} s where {expected / fps:.3f} was due"
            )
        expected += 1
        if frame.format.name != pix_fmt:
            frame = convert.reformat(frame, format=pix_fmt, interpolation=EXACT, threads=1)
        yield np.asarray(frame.to_ndarray())
