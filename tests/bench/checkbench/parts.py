"""What the faults are made of: changes to one stream of an episode, and draws that a seed repeats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from components.core.episode import PICTURES, Episode, Stream
from components.core.spec import SAWYER_CELL
from components.formats.images import decode_image
from components.formats.lazy import FrameView
from components.ingest.canonical import to_frames

Rng = np.random.Generator
# (episode, strength 0..2, draws, a few episodes of other tasks) -> the episode with the fault; nothing else decides it.
Fault = Callable[[Episode, int, Rng, Sequence[Episode]], Episode]
Indices = npt.NDArray[np.int64]
Picture = npt.NDArray[np.uint8]
One = TypeVar("One")

# The streams of numbers that the dataset has columns of.
NUMERIC = ("hand", "gripper", "joints", "action")
HAND, GRIPPER, JOINTS, ACTION, EXECUTED = "hand", "gripper", "joints", "action", "action_executed"
# The commands to the arm are the first columns, that to the gripper is the last.
ARM = 3
FPS = 20
FRAME_NS = 1_000_000_000 // FPS
_IMAGE_MARGIN_MS = 25.0


def pick(rng: Rng, among: Sequence[One]) -> One:
    return among[int(rng.integers(len(among)))]


def sign(rng: Rng) -> int:
    return pick(rng, (-1, 1))


def part_of(share: float, total: int) -> int:
    """How many of `total` a share is: at least one."""
    return max(1, round(share * total))


def run_of(rng: Rng, length: int, total: int) -> slice:
    """`length` items in a row, anywhere."""
    first = int(rng.integers(total - length + 1))
    return slice(first, first + length)


def cameras(episode: Episode) -> list[str]:
    return [stream.name for stream in episode.of_kind("image")]


def used_streams(episode: Episode) -> list[str]:
    """Those that the dataset is made of."""
    return [*cameras(episode), *NUMERIC]


def numbers(episode: Episode, name: str) -> npt.NDArray[np.float64]:
    """A copy [N, D] to write to."""
    return np.array(episode.stream(name).values, dtype=np.float64)


def pictures(episode: Episode, name: str) -> list[Picture]:
    """The decoded pictures of a camera."""
    where = episode.provenance.source_uri
    return [decode_image(frame, where=where) for frame in episode.stream(name).values]  # type: ignore[arg-type]


def with_stream(episode: Episode, name: str, **changes: Any) -> Episode:
    changed = replace(episode.stream(name), **changes)
    return replace(episode, streams={**episode.streams, name: changed})


def shown(episode: Episode, name: str, numbers_of: Indices) -> Episode:
    """A camera shows those of its pictures, at the times at which it showed its own."""
    return with_stream(episode, name, values=FrameView(episode.stream(name).values, numbers_of.tolist()))


def kept(stream: Stream, indices: Indices) -> Stream:
    """Those samples of a stream, with their stamps."""
    if stream.kind in PICTURES:
        values: Any = FrameView(stream.values, indices.tolist())
    else:
        values = np.asarray(stream.values)[indices]
    return replace(stream, time_ns=stream.time_ns[indices], values=values)


def between(episode: Episode, first_ns: float, last_ns: float) -> Episode:
    """All samples with stamps in [first_ns, last_ns]."""
    streams = {
        name: kept(stream, np.flatnonzero((stream.time_ns >= first_ns) & (stream.time_ns <= last_ns)))
        for name, stream in episode.streams.items()
    }
    return replace(episode, streams=streams)


def span_ns(episode: Episode) -> tuple[int, int]:
    """First and last stamp of any stream."""
    clocks = [stream.time_ns for stream in episode.streams.values() if len(stream)]
    return min(int(clock.min()) for clock in clocks), max(int(clock.max()) for clock in clocks)


def first_tick_ns(episode: Episode) -> int:
    """Where ingest puts the first tick."""
    frames = to_frames(episode, SAWYER_CELL, fps=FPS, max_misalignment_ms=_IMAGE_MARGIN_MS)
    return span_ns(episode)[0] + round(float(frames.time_s[0]) * 1e9)
