"""Brings streams that tick on their own clocks onto the ticks of the dataset. Pure numpy, no file is touched.

Times are int64 ns. A clock that steps back is survived by sorting the samples (stably); `stream_facts` counts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from components.core.episode import Stream
from components.core.errors import EpisodeError

Times = npt.NDArray[np.int64]
Index = npt.NDArray[np.int64]
Method = Literal["nearest", "linear", "previous", "command"]

# A sample that comes this share of a tick late counts as there: clocks that tick with the dataset still jitter.
_SLACK = 0.1
# Ticks per sample of the busiest stream above which timestamps are nonsense rather than slow.
_MAX_TICKS_PER_SAMPLE = 100


@dataclass(frozen=True)
class Aligned:
    """T ticks.

    `index`: per stream that is picked (images, gripper, action), which sample each tick takes; `values`: per numeric
    stream float64 [T, D]; `misalignment_ms`: per stream, the longest way in time from a tick to the sample it takes,
    or for interpolated streams to the nearest sample.
    """

    ticks_ns: Times
    index: dict[str, Index] = field(default_factory=dict)
    values: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    misalignment_ms: dict[str, float] = field(default_factory=dict)


def align(
    streams: Mapping[str, Stream],
    methods: Mapping[str, Method],
    *,
    anchor: str,
    fps: int,
    image_margin_ns: int,
    where: str | None = None,
) -> Aligned:
    """Ticks at `fps` over the time that all streams of `methods` cover, starting on a sample of stream `anchor`.

    "nearest" takes the nearest sample; "linear" interpolates; "previous" holds the last sample; "command" takes the
    nearest sample within half a tick and else holds the last one. Raises `EpisodeError` (no_overlap, bad_time).
    """
    ticks_ns = common_ticks(streams, methods, anchor=anchor, fps=fps, image_margin_ns=image_margin_ns, where=where)
    aligned = Aligned(ticks_ns)
    for name, method in methods.items():
        stream = streams[name]
        order = np.argsort(stream.time_ns, kind="stable")
        time_ns = stream.time_ns[order]
        close = nearest(time_ns, ticks_ns)
        if method == "linear":
            aligned.values[name] = interpolate(time_ns, np.asarray(stream.values)[order], ticks_ns)
        else:
            close = _picked(method, time_ns, ticks_ns, close, tick_ns=round(1e9 / fps))
            aligned.index[name] = order[close]
            if stream.kind != "image":
                aligned.values[name] = np.asarray(stream.values, dtype=np.float64)[aligned.index[name]]
        aligned.misalignment_ms[name] = float(np.abs(time_ns[close] - ticks_ns).max() / 1e6)
    return aligned


def _picked(method: Method, time_ns: Times, ticks_ns: Times, close: Index, *, tick_ns: int) -> Index:
    if method == "nearest":
        return close
    held = previous(time_ns, ticks_ns + round(tick_ns * _SLACK))
    if method == "previous":
        return held
    return np.where(np.abs(time_ns[close] - ticks_ns) <= tick_ns // 2, close, held)


def common_ticks(
    streams: Mapping[str, Stream],
    methods: Mapping[str, Method],
    *,
    anchor: str,
    fps: int,
    image_margin_ns: int,
    where: str | None = None,
) -> Times:
    """int64 [T >= 2]: the first sample of `anchor` that every stream covers, and then every 1/fps s.

    Starting on a sample of the action stream keeps the action that was commanded at a tick with what was seen then.
    """
    half_tick_ns = round(0.5e9 / fps)
    starts, ends = [], []
    for name, method in methods.items():
        time_ns = streams[name].time_ns
        if not len(time_ns):
            raise EpisodeError(f"stream {name!r} holds no sample", where=where, code="missing_stream")
        before, after = _margins(streams[name], method, half_tick_ns, image_margin_ns)
        starts.append((int(time_ns.min()) - before, name))
        ends.append((int(time_ns.max()) + after, name))
    (start, last_to_start), (end, first_to_end) = max(starts), min(ends)
    anchors = np.sort(streams[anchor].time_ns)
    anchors = anchors[(anchors >= start) & (anchors <= end)]
    count = (end - int(anchors[0])) * fps // 10**9 + 1 if len(anchors) else 0
    if count < 2:
        raise EpisodeError(
            f"the streams share {max(0, end - start) / 1e9:.3f} s, less than two ticks: {last_to_start!r} begins last "
            f"and {first_to_end!r} ends first",
            where=where,
            code="no_overlap",
        )
    if count > _MAX_TICKS_PER_SAMPLE * max(len(streams[name]) for name in methods):
        raise EpisodeError(
            f"{count} ticks for {max(len(streams[name]) for name in methods)} samples: the timestamps are wrong",
            where=where,
            code="bad_time",
        )
    return int(anchors[0]) + np.rint(np.arange(count) * (1e9 / fps)).astype(np.int64)


def _margins(stream: Stream, method: Method, half_tick_ns: int, image_margin_ns: int) -> tuple[int, int]:
    """How far before its first and after its last sample a stream may still be used."""
    period_ns = round(1e9 / stream.rate_hz) if stream.rate_hz else 0
    if method == "nearest":
        return image_margin_ns, image_margin_ns
    if method == "linear":
        return min(period_ns, half_tick_ns), min(period_ns, half_tick_ns)
    # A held value is good until its successor was due.
    return half_tick_ns, max(period_ns, half_tick_ns) if method == "previous" else half_tick_ns


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


def stream_facts(stream: Stream, *, start_ns: int) -> dict[str, Any]:
    """What the clock and the values of a stream look like before anything was repaired.

    `start_ns`: earliest sample of the episode. Jitter is std(dt) / median(dt), 0 where the median is not positive.
    """
    steps = np.diff(stream.time_ns).astype(np.float64)
    median = float(np.median(steps)) if len(steps) else 0.0
    bad = 0 if stream.kind == "image" else int((~np.isfinite(np.asarray(stream.values, dtype=np.float64))).sum())
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
        "nan_count": bad,
    }
