"""Video of one episode: frames to mp4 bytes and back. Same frames and settings give the same bytes."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from components.core.errors import DatasetError, ParamsError
from components.core.params import Video

# Exact conversion between RGB and YUV: swscale's fast paths cost 1 to 2 dB and differ between processors.
_EXACT = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.BITEXACT
)
_PRESETS = {"h264": "medium", "libsvtav1": "8"}
_PIX_FMTS = {"h264": ("yuv420p", "yuv444p"), "libsvtav1": ("yuv420p",)}
_MATRIX_BT601 = 6
_RANGE_LIMITED = 1


def encode_episode(frames: npt.NDArray[np.uint8], fps: int, video: Video) -> bytes:
    """One mp4 of uint8 [T, H, W, 3] RGB frames, starting at a key frame; safe to run in a worker process.

    Raises `ParamsError` for settings that no encoder here can do.
    """
    settings = encoder_settings(video)
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 writes its banner to stderr otherwise
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(settings["encoder"], rate=fps, options=settings["options"])
        assert isinstance(stream, VideoStream)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], video.pix_fmt
        context = stream.codec_context
        context.thread_count = 1
        context.colorspace, context.color_range = _MATRIX_BT601, _RANGE_LIMITED
        convert = VideoReformatter()
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame = convert.reformat(frame, format=video.pix_fmt, interpolation=_EXACT, threads=1)
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def encoder_settings(video: Video) -> dict[str, Any]:
    """Encoder name and options for `video`; one thread each, since episodes are what runs in parallel."""
    if video.codec not in _PRESETS:
        raise ParamsError(f"ingest.video.codec is {video.codec!r}, expected one of {', '.join(sorted(_PRESETS))}")
    if video.pix_fmt not in _PIX_FMTS[video.codec]:
        allowed = ", ".join(_PIX_FMTS[video.codec])
        raise ParamsError(f"ingest.video.pix_fmt is {video.pix_fmt!r}; {video.codec} takes {allowed} here")
    options = {"crf": str(video.crf), "g": str(video.gop), "preset": _PRESETS[video.codec]}
    if video.codec == "h264":
        if video.crf > 51:
            raise ParamsError(f"ingest.video.crf is {video.crf}; h264 takes 0 to 51")
        # Without B-frames every packet shows one frame in order, so episodes can be joined packet by packet.
        return {"encoder": "libx264", "options": options | {"x264-params": "bframes=0:scenecut=0:threads=1"}}
    return {"encoder": "libsvtav1", "options": options | {"svtav1-params": "lp=1"}}


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
        "video.preset": _PRESETS[video.codec],
    }


def decode_episode(data: bytes) -> npt.NDArray[np.uint8]:
    """All frames of an mp4 in memory: uint8 [T, H, W, 3] RGB. Raises `DatasetError` where it cannot be decoded."""
    try:
        with av.open(io.BytesIO(data)) as container:
            return np.stack(list(_rgb_frames(container, 0, 0)))
    except (av.FFmpegError, ValueError, IndexError) as error:
        raise DatasetError(f"video cannot be decoded: {error}") from error


def decode_range(path: Path, first: int, count: int, fps: int) -> npt.NDArray[np.uint8]:
    """Frames `first` to `first + count` of a file: uint8 [count, H, W, 3] RGB.

    Raises `DatasetError` where the file is missing, damaged, or does not hold exactly these frames.
    """
    frames: list[npt.NDArray[np.uint8]] = []
    try:
        with av.open(str(path)) as container:
            for frame in _rgb_frames(container, first, fps):
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


def _rgb_frames(container: Any, first: int, fps: int) -> Iterator[npt.NDArray[np.uint8]]:
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
        rgb = convert.reformat(frame, format="rgb24", interpolation=_EXACT, threads=1)
        yield np.asarray(rgb.to_ndarray(), dtype=np.uint8)
