"""Takes the episode of a cut out of a longer one. Pictures are referenced by number, not decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.episode import CONTROL_SOURCES, PICTURES, Episode, Stream
from components.core.errors import EpisodeError
from components.formats.lazy import FrameView
from components.formats.spans import ControlSpan, Cut

_HUMAN = CONTROL_SOURCES.index("human")


def first_sample_ns(episode: Episode) -> int:
    """The earliest sample of all streams: where the clock of a cut is 0, unless the reader says otherwise."""
    return min((int(s.time_ns.min()) for s in episode.streams.values() if len(s)), default=0)


def take_cut(episode: Episode, cut: Cut, *, origin_ns: int | None = None) -> Episode:
    """The episode of `cut` out of the whole recording: `apply_words` and `slice_episode` on the clock of the whole."""
    origin_ns = first_sample_ns(episode) if origin_ns is None else origin_ns
    return slice_episode(apply_words(episode, cut, origin_ns=origin_ns), cut, origin_ns=origin_ns)


def slice_episode(episode: Episode, cut: Cut, *, origin_ns: int | None = None) -> Episode:
    """The samples of each stream in [cut.start_ns, cut.end_ns) after `origin_ns`, the first sample where that is None.

    Sensor times stay as they were recorded. Streams without a sample in the span are left out; `source_uri` names the
    cut; a carried id is dropped, for it is the id of the whole. Raises `EpisodeError` (empty_cut).
    """
    origin_ns = first_sample_ns(episode) if origin_ns is None else origin_ns
    start_ns, end_ns = origin_ns + cut.start_ns, origin_ns + cut.end_ns
    cut_streams = {name: _sliced(stream, start_ns, end_ns) for name, stream in episode.streams.items()}
    streams = {name: stream for name, stream in cut_streams.items() if len(stream)}
    whole = episode.provenance.source_uri
    uri = f"{whole.removesuffix(f'#{cut.part}') if cut.part else whole}#{cut.name}"
    if not streams:
        raise EpisodeError(
            "no stream holds a sample in this span",
            where=uri,
            hint="Times of a cut are seconds since the first message of the recording",
            code="empty_cut",
        )
    return replace(episode, streams=streams, carried_id="", provenance=replace(episode.provenance, source_uri=uri))


def _sliced(stream: Stream, start_ns: int, end_ns: int) -> Stream:
    # A clock may jump back, so that a span need not be one run of samples.
    numbers = np.flatnonzero((stream.time_ns >= start_ns) & (stream.time_ns < end_ns))
    values: Any = stream.values
    values = FrameView(values, numbers.tolist()) if stream.kind in PICTURES else values[numbers]
    return replace(stream, time_ns=stream.time_ns[numbers], values=values)


def apply_words(episode: Episode, cut: Cut, *, origin_ns: int | None = None) -> Episode:
    """The episode with what the cut says of it: task, instruction, outcome, and who moved the robot.

    Where the cut has control spans, the control stream is on the clock of the actions: inside of a span its source,
    outside what the recording's own control stream said last, or human where it has none, since a demonstration is
    moved by one. Without spans the streams are as they were. `origin_ns`: time on the episode's clock at which the
    cut's is 0; None takes the first sample for the beginning of the cut, late by the time that it came after it.
    Raises `EpisodeError` (missing_stream) where spans meet an episode without actions or states.
    """
    outcome = cut.outcome or episode.provenance.outcome
    # A task that nothing names is called by its instruction.
    named = "" if episode.task == episode.instruction else episode.task
    instruction = cut.instruction or episode.instruction
    changed = replace(
        episode,
        task=cut.task or named or instruction,
        instruction=instruction,
        provenance=replace(episode.provenance, outcome=outcome),
    )
    if not cut.control:
        return changed
    origin_ns = first_sample_ns(episode) - cut.start_ns if origin_ns is None else origin_ns
    control = _control(episode, cut.control, origin_ns)
    return replace(changed, streams={**episode.streams, control.name: control})


def _control(episode: Episode, spans: Sequence[ControlSpan], origin_ns: int) -> Stream:
    clock = _clock(episode)
    own = next((stream for stream in episode.of_kind("control") if len(stream)), None)
    values = _held(own, clock) if own is not None else np.full(len(clock), float(_HUMAN))
    for span in spans:
        inside = (clock >= origin_ns + span.start_ns) & (clock < origin_ns + span.end_ns)
        values[inside] = CONTROL_SOURCES.index(span.source)
    return Stream(own.name if own is not None else "control", "control", clock, values[:, None])


def _clock(episode: Episode) -> npt.NDArray[np.int64]:
    """Times of the stream "action", else of the first other action stream, else of the first state."""
    named = [episode.streams["action"]] if "action" in episode.streams else []
    for stream in (*named, *episode.of_kind("action"), *episode.of_kind("state")):
        if len(stream):
            return stream.time_ns
    raise EpisodeError(
        "control spans need an action or a state stream, whose clock they are on",
        where=episode.provenance.source_uri,
        code="missing_stream",
    )


def _held(own: Stream, clock: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """What a control stream said last at each time of `clock`; before its first sample, what that says."""
    order = np.argsort(own.time_ns, kind="stable")
    last = np.searchsorted(own.time_ns[order], clock, side="right") - 1
    said = np.asarray(own.values, dtype=np.float64)[order, 0]
    return said[np.maximum(last, 0)]
