"""Brings streams that tick on their own clocks onto the ticks of the dataset. Pure numpy, no file is touched.

Times are int64 ns. A clock that steps back is survived by sorting the samples (stably); `stream_facts` counts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from components.core.episode import PICTURES, Stream
from components.core.errors import EpisodeError
from components.transforms.rotations import slerp

Times = npt.NDArray[np.int64]
Index = npt.NDArray[np.int64]
# How a stream comes onto the ticks; the first four are for observations, the others for actions.
Method = Literal["nearest", "linear", "slerp", "previous", "command", "causal"]

# A sample that comes this share of a tick late counts as there: clocks that tick with the dataset still jitter.
_SLACK = 0.1
# A step this many times longer than the median is a gap: two samples in a row are missing.
_GAP = 3
# Ticks per sample of the busiest stream above which timestamps are nonsense rather than slow.
_MAX_TICKS_PER_SAMPLE = 100


@dataclass(frozen=True)
class Track:
    """A stream, or the columns of one that belong together, and how it comes onto the ticks."""

    stream: Stream
    method: Method


@dataclass(frozen=True)
class Grid:
    """The ticks of a dataset: one every 1/fps s, the first on a sample of stream `anchor`.

    `image_margin_ns`: how far from a tick a picture may be; `where`: what an error names.
    """

    anchor: str
    fps: int
    image_margin_ns: int
    where: str | None = None

    @property
    def tick_ns(self) -> int:
        return round(1e9 / self.fps)


@dataclass(frozen=True)
class Aligned:
    """T ticks.

    `index`: per track that is picked (images, gripper, action), which sample each tick takes; `values`: per numeric
    track float64 [T, D]; `misalignment_ms`: per stream, the longest way in time from a tick to the sample it takes,
    or for interpolated streams to the nearest sample.
    """

    ticks_ns: Times
    index: dict[str, Index] = field(default_factory=dict)
    values: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    misalignment_ms: dict[str, float] = field(default_factory=dict)


def align(tracks: Mapping[str, Track], grid: Grid) -> Aligned:
    """The ticks of `grid` over the time that all tracks cover, and what each track is then.

    "nearest" takes the nearest sample; "linear" interpolates, "slerp" unit quaternions; "previous" holds the last
    sample; "command" takes the nearest sample within half a tick and else holds the last one; "causal" holds the last
    one and never looks ahead. Raises `EpisodeError` (no_overlap, bad_time, missing_stream).
    """
    ticks_ns = common_ticks(tracks, grid)
    aligned = Aligned(ticks_ns)
    for key, track in tracks.items():
        stream, method = track.stream, track.method
        order = np.argsort(stream.time_ns, kind="stable")
        time_ns = stream.time_ns[order]
        close = nearest(time_ns, ticks_ns)
        if method in ("linear", "slerp"):
            between = interpolate if method == "linear" else interpolate_rotation
            aligned.values[key] = between(time_ns, np.asarray(stream.values)[order], ticks_ns)
        else:
            close = _picked(method, time_ns, ticks_ns, close, tick_ns=grid.tick_ns)
            aligned.index[key] = order[close]
            if stream.kind not in PICTURES:
                aligned.values[key] = np.asarray(stream.values, dtype=np.float64)[aligned.index[key]]
        away_ms = float(np.abs(time_ns[close] - ticks_ns).max() / 1e6)
        aligned.misalignment_ms[stream.name] = max(away_ms, aligned.misalignment_ms.get(stream.name, 0.0))
    return aligned


def _picked(method: Method, time_ns: Times, ticks_ns: Times, close: Index, *, tick_ns: int) -> Index:
    if method == "nearest":
        return close
    held = previous(time_ns, ticks_ns if method == "causal" else ticks_ns + round(tick_ns * _SLACK))
    if method != "command":
        return held
    return np.where(np.abs(time_ns[close] - ticks_ns) <= tick_ns // 2, close, held)


def common_ticks(tracks: Mapping[str, Track], grid: Grid) -> Times:
    """int64 [T >= 2]: the first sample of the anchor that every track covers, and then every 1/fps s.

    Starting on a sample of the action stream keeps the action that was commanded at a tick with what was seen then.
    """
    fps, where, half_tick_ns = grid.fps, grid.where, round(0.5e9 / grid.fps)
    starts, ends = [], []
    for track in tracks.values():
        name, time_ns = track.stream.name, track.stream.time_ns
        if not len(time_ns):
            raise EpisodeError(f"stream {name!r} holds no sample", where=where, code="missing_stream")
        before, after = _margins(track, half_tick_ns, grid.image_margin_ns)
        starts.append((int(time_ns.min()) - before, name))
        ends.append((int(time_ns.max()) + after, name))
    (start, last_to_start), (end, first_to_end) = max(starts), min(ends)
    anchors = np.sort(next(track.stream.time_ns for track in tracks.values() if track.stream.name == grid.anchor))
    anchors = anchors[(anchors >= start) & (anchors <= end)]
    count = (end - int(anchors[0])) * fps // 10**9 + 1 if len(anchors) else 0
    if count < 2:
        raise EpisodeError(
            f"the streams share {max(0, end - start) / 1e9:.3f} s, less than two ticks: {last_to_start!r} begins last "
            f"and {first_to_end!r} ends first",
            where=where,
            code="no_overlap",
        )
    most = max(len(track.stream) for track in tracks.values())
    if count > _MAX_TICKS_PER_SAMPLE * most:
        raise EpisodeError(f"{count} ticks for {most} samples: the timestamps are wrong", where=where, code="bad_time")
    return int(anchors[0]) + np.rint(np.arange(count) * (1e9 / fps)).astype(np.int64)


def _margins(track: Track, half_tick_ns: int, image_margin_ns: int) -> tuple[int, int]:
    """How far before its first and after its last sample a stream may still be used."""
    period_ns = round(1e9 / track.stream.rate_hz) if track.stream.rate_hz else 0
    if track.method == "nearest":
        return image_margin_ns, image_margin_ns
    if track.method in ("linear", "slerp"):
        return min(period_ns, half_tick_ns), min(period_ns, half_tick_ns)
    if track.method == "causal":
        return 0, half_tick_ns
    # A held value is good until its successor was due.
    return half_tick_ns, max(period_ns, half_tick_ns) if track.method == "previous" else half_tick_ns


def nearest(time_ns: Times, ticks_ns: Times) -> Index:
    """Index of the nearest sample of sorted times per tick; the earlier one where two are equally near."""
    after = np.clip(np.searchsorted(time_ns, ticks_ns, side="left"), 0, len(time_ns) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(np.abs(ticks_ns - time_ns[before]) <= np.abs(time_ns[after] - ticks_ns), before, after)


def previous(time_ns: Times, ticks_ns: Times) -> Index:
    """Index of the last sample at or before each tick of sorted times; the first sample where there is none."""
    return np.maximum(np.searchsorted(time_ns, ticks_ns, side="right") - 1, 0)


def interpolate(time_ns: Times, values: npt.NDArray[np.float64], ticks_ns: Times) -> npt.NDArray[np.float64]:
    """float64 [T, D] between the samples around each tick; held beyond the ends. NaN spreads to its neighbours."""
    origin = time_ns[0]
    at, known = (ticks_ns - origin).astype(np.float64), (time_ns - origin).astype(np.float64)
    return np.stack([np.interp(at, known, values[:, column]) for column in range(values.shape[1])], axis=1)


def interpolate_rotation(
    time_ns: Times, quaternions: npt.NDArray[np.float64], ticks_ns: Times
) -> npt.NDArray[np.float64]:
    """float64 [T, 4] on the shorter arc between the samples around each tick; held beyond the ends."""
    first = previous(time_ns, ticks_ns)
    last = np.minimum(first + 1, len(time_ns) - 1)
    gap = (time_ns[last] - time_ns[first]).astype(np.float64)
    share = np.where(gap > 0, (ticks_ns - time_ns[first]) / np.where(gap > 0, gap, 1.0), 0.0)
    return slerp(quaternions[first], quaternions[last], np.clip(share, 0.0, 1.0))


def stream_facts(stream: Stream, *, start_ns: int) -> dict[str, Any]:
    """What the clock and the values of a stream look like before anything was repaired.

    `start_ns`: earliest sample of the episode. Jitter is std(dt) / median(dt), 0 where the median is not positive.
    """
    steps = np.diff(stream.time_ns).astype(np.float64)
    median = float(np.median(steps)) if len(steps) else 0.0
    bad = 0 if stream.kind in PICTURES else int((~np.isfinite(np.asarray(stream.values, dtype=np.float64))).sum())
    return {
        "stream": stream.name,
        "kind": stream.kind,
        "count": len(stream),
        "rate_hz": stream.rate_hz,
        "duration_s": float(np.ptp(stream.time_ns) / 1e9) if len(stream) else 0.0,
        "start_offset_s": float((stream.time_ns.min() - start_ns) / 1e9) if len(stream) else 0.0,
        "backwards": int((steps < 0).sum()),
        "duplicates": int((steps == 0).sum()),
        "jitter": float(steps.std() / median) if median > 0 else 0.0,
        "max_gap_s": float(steps.max() / 1e9) if len(steps) else 0.0,
        "gaps": int((steps > _GAP * median).sum()) if median > 0 else 0,
        "nan_count": bad,
    }
