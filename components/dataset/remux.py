"""Many episodes in one mp4, joined packet by packet: nothing is decoded or encoded again."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from components.core.errors import DatasetError
from components.dataset.layout import place

# No time and no library version in the file.
_BITEXACT = {"fflags": "+bitexact"}


@dataclass(frozen=True)
class EncodedEpisode:
    """What of an mp4 made by `encode_episode` matters for joining: its header and how many frames it holds."""

    data: bytes
    header: bytes
    frames: int
    height: int
    width: int

    @property
    def coding(self) -> tuple[bytes, int, int]:
        """What the episodes of one file have in common."""
        return self.header, self.height, self.width


def inspect_episode(data: bytes, *, where: str) -> EncodedEpisode:
    """Demuxes an encoded episode without decoding. Raises `DatasetError` unless it is one video track in order."""
    try:
        with av.open(io.BytesIO(data), "r") as container:
            stream: Any = container.streams.video[0]
            times = [packet.pts for packet in container.demux(stream) if packet.size]
            header = bytes(stream.codec_context.extradata or b"")
            size = stream.height, stream.width
            step = Fraction(1) / (stream.average_rate * stream.time_base)
    except (av.FFmpegError, IndexError, TypeError, ZeroDivisionError) as error:
        raise DatasetError(f"encoded video cannot be read: {error}", where=where) from error
    if times != [index * step for index in range(len(times))]:
        raise DatasetError("encoded video does not start at 0 with one frame a tick", where=where)
    return EncodedEpisode(data, header, len(times), *size)


class VideoFile:
    """An mp4 under way. Packets go to disk as they come; only the index of the file stays in memory."""

    def __init__(self, path: Path, fps: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.frames = 0
        self.size = 0
        self._fps = fps
        self.coding: tuple[bytes, int, int] | None = None
        self._stream: Any = None
        self._container = av.open(str(path), "w", format="mp4", options=_BITEXACT)

    def append(self, episode: EncodedEpisode) -> None:
        """Adds the packets of `episode` after the last one. Raises `DatasetError` where the settings differ."""
        if self.coding is not None and episode.coding != self.coding:
            raise DatasetError(
                "the encoder settings of this episode differ from those of the file", where=str(self.path)
            )
        with av.open(io.BytesIO(episode.data), "r") as source:
            stream: Any = source.streams.video[0]
            if self._stream is None:
                self._stream = self._container.add_stream_from_template(stream, opaque=True)
                self.coding = episode.coding
            shift = round(Fraction(self.frames, self._fps) / stream.time_base)
            for packet in source.demux(stream):
                if packet.pts is None or packet.dts is None:
                    continue
                packet.pts += shift
                packet.dts += shift
                packet.stream = self._stream
                self._container.mux(packet)
        self.frames += episode.frames
        self.size += len(episode.data)

    def close(self) -> None:
        self._container.close()
        self.path.chmod(0o644)


class RollingVideo:
    """The mp4 files of one camera, `template` numbered from `first`; `next`: number of the next file to open.

    It opens where the limit would be met, and where an episode is coded differently from those before.
    """

    def __init__(self, root: Path, template: str, fps: int, limit_bytes: int, first: int = 0) -> None:
        self._root = root
        self._template = template
        self._fps = fps
        self._limit_bytes = limit_bytes
        self.next = first
        self._file: VideoFile | None = None

    def append(self, episode: EncodedEpisode) -> tuple[dict[str, int], int]:
        """Adds one episode; returns chunk and file index, and the frame of that file at which it starts."""
        if self._file is not None and (
            self._file.size + len(episode.data) >= self._limit_bytes or self._file.coding != episode.coding
        ):
            self.close()
        if self._file is None:
            self._file = VideoFile(self._root / self._template.format(**place(self.next)), self._fps)
            self.next += 1
        start = self._file.frames
        self._file.append(episode)
        return place(self.next - 1), start

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def cut_episode(path: Path, first: int, count: int, fps: int) -> bytes:
    """The packets of frames `first` to `first + count` as an mp4 of their own, starting at 0; nothing is decoded.

    Raises `DatasetError` where the file does not hold exactly these frames, or they do not begin with a key frame.
    """
    buffer = io.BytesIO()
    found = 0
    try:
        with av.open(str(path), "r") as source, av.open(buffer, "w", format="mp4", options=_BITEXACT) as target:
            stream: Any = source.streams.video[0]
            copy = target.add_stream_from_template(stream, opaque=True)
            shift = round(Fraction(first, fps) / stream.time_base)
            source.seek(shift, stream=stream)
            for packet in source.demux(stream):
                if packet.pts is None or packet.dts is None or packet.pts < shift:
                    continue
                if found == count:
                    break
                if not found and (packet.pts != shift or not packet.is_keyframe):
                    raise DatasetError(f"no key frame at frame {first}", where=str(path))
                packet.pts -= shift
                packet.dts -= shift
                packet.stream = copy
                target.mux(packet)
                found += 1
    except (av.FFmpegError, OSError, IndexError) as error:
        raise DatasetError(f"video cannot be read: {error}", where=str(path)) from error
    if found != count:
        raise DatasetError(f"{found} frames from frame {first} on, expected {count}", where=str(path))
    return buffer.getvalue()
