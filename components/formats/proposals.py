"""Proposes cuts for a long recording that nobody has cut yet: by markers, silences, and spans without motion."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter1d, minimum_filter1d

from components.core.episode import PICTURES, Episode, Stream
from components.core.errors import FormatError
from components.formats.cuts import from_gaps
from components.formats.mapping import EpisodeRule, Mapping
from components.formats.registry import reader
from components.formats.slicing import first_sample_ns
from components.formats.source import Recording
from components.formats.spans import Cut

# A recording below this is taken for one episode.
LONG_S = 60.0
# A robot that does not move for so long has finished one attempt.
IDLE_S = 3.0
# Motion is what the values span within such a window, so that the noise of single samples is no motion.
_WINDOW_S = 0.5
# Still is what moves less than this share of the brisk motion (99th percentile) of the same stream.
_STILL = 0.05
_MARKER_WORDS = ("episode", "marker", "event", "record", "start_stop", "label")
_MARKER_TYPES = ("String", "Bool")

Span = tuple[int, int]


def propose(recording: Recording) -> tuple[Cut, ...]:
    """Cuts for a recording of one part that lasts at least `LONG_S`, () where it seems to be one episode already.

    What a marker-like topic says; else what lies between silences and idle spans. Cuts that it already has are its
    proposal. Numeric streams are read, pictures are not. Raises `FormatError` where the part cannot be read.
    """
    if recording.cuts or len(recording.parts) != 1:
        return recording.cuts
    part = recording.parts[0]
    mapping = _without_pictures(recording.mapping)
    if not mapping.streams:
        return ()
    episode = reader(recording.format).read_part(replace(recording, mapping=mapping), part)
    if _length_ns(episode) < LONG_S * 1e9:
        return ()
    cuts = _by_markers(recording, part) or propose_for(episode, recording.mapping.episode)
    return tuple(replace(cut, part=part) for cut in cuts)


def propose_for(episode: Episode, rule: EpisodeRule, *, idle_s: float = IDLE_S) -> tuple[Cut, ...]:
    """Spans between silences of the actions (`rule.gap_s`) and idle spans of all state and action streams, of at least
    `rule.min_s`. () where that is all of the recording.
    """
    moved = [stream for stream in (*episode.of_kind("action"), *episode.of_kind("state")) if len(stream)]
    if not moved:
        return ()
    origin_ns = first_sample_ns(episode)
    clock = (episode.of_kind("action") or moved)[0]
    idle: list[Span] | None = None
    for stream in moved:
        own = idle_spans(stream.time_ns - origin_ns, np.asarray(stream.values, dtype=np.float64), min_s=idle_s)
        idle = own if idle is None else _both(idle, own, min_s=idle_s)
    cuts: list[Cut] = []
    for busy in from_gaps((clock if len(clock) else moved[0]).time_ns - origin_ns, rule):
        for start_ns, end_ns in _outside(busy.start_ns, busy.end_ns, idle or []):
            if end_ns - start_ns >= max(1, round(rule.min_s * 1e9)):
                cuts.append(Cut(start_ns, end_ns, note="proposed: the robot moves"))
    whole = len(cuts) == 1 and cuts[0].end_ns - cuts[0].start_ns >= _length_ns(episode)
    return () if whole else tuple(cuts)


def idle_spans(time_ns: npt.NDArray[np.int64], values: npt.NDArray[np.float64], *, min_s: float) -> list[Span]:
    """Spans (first, last sample) of at least `min_s` in which no column of `values` [N, D] moves, in order of time.

    Moving is judged against the stream's own brisk motion, not in units; samples that are not finite are passed over.
    A stream that never moves is one span.
    """
    order = np.argsort(time_ns, kind="stable")
    order = order[np.isfinite(values[order]).all(axis=1)]
    times, rows = time_ns[order], values[order]
    if len(times) < 2:
        return []
    step_ns = max(1.0, float(np.median(np.diff(times))))
    width = min(len(times), max(2, round(_WINDOW_S * 1e9 / step_ns)) + 1)
    extent = maximum_filter1d(rows, width, axis=0, mode="nearest") - minimum_filter1d(
        rows, width, axis=0, mode="nearest"
    )
    motion = extent.max(axis=1)
    still = motion <= _STILL * float(np.percentile(motion, 99))
    edges = np.flatnonzero(np.diff(np.r_[False, still, False].astype(np.int8)))
    spans = [(int(times[first]), int(times[stop - 1])) for first, stop in edges.reshape(-1, 2)]
    return [span for span in spans if span[1] - span[0] >= min_s * 1e9]


def _both(one: Iterable[Span], other: list[Span], *, min_s: float) -> list[Span]:
    """Where both are idle, for at least `min_s`."""
    pairs = ((max(a, c), min(b, d)) for a, b in one for c, d in other)
    return sorted(span for span in pairs if span[1] - span[0] >= min_s * 1e9)


def _outside(start_ns: int, end_ns: int, idle: list[Span]) -> list[Span]:
    """What of [start_ns, end_ns) is left without the idle spans."""
    left, at = [], start_ns
    for first, last in idle:
        if last > at and first < end_ns:
            left.append((at, max(at, first)))
            at = last
    left.append((at, end_ns))
    return [span for span in left if span[1] > span[0]]


def _by_markers(recording: Recording, part: str) -> tuple[Cut, ...]:
    """The cuts of the first topic that looks like a marker and says of at least one episode where it begins."""
    module = reader(recording.format)
    found = module.fields(recording.path, part, recording.mapping, where=recording.uri_of(part))
    for field in found:
        named = any(word in field.name.lower() for word in _MARKER_WORDS)
        if not (named and field.count and any(word in field.type for word in _MARKER_TYPES)):
            continue
        rule = recording.mapping.episode.model_copy(update={"by": "marker", "topic": field.name})
        asked = recording.mapping.model_copy(update={"episode": rule})
        try:
            cuts = module.open_source(recording.path, asked, where=recording.uri).cuts
        except FormatError:
            # A topic that only looked like a marker; the next may be one.
            continue
        if cuts:
            return tuple(replace(cut, note=cut.note or f"proposed: {field.name}") for cut in cuts)
    return ()


def _without_pictures(mapping: Mapping) -> Mapping:
    kept = {name: rule for name, rule in mapping.streams.items() if rule.kind not in PICTURES}
    return mapping.model_copy(update={"streams": kept})


def _length_ns(episode: Episode) -> int:
    return max(_last(stream) for stream in episode.streams.values()) - first_sample_ns(episode)


def _last(stream: Stream) -> int:
    return int(stream.time_ns.max()) if len(stream) else 0
