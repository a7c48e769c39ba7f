"""Cuts: which spans of a long recording are episodes. Raw bytes are referenced, never copied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from components.formats.mapping import EpisodeRule
from components.formats.markers import Marker, parse_marker
from components.formats.slicing import apply_words, slice_episode, take_cut
from components.formats.spans import ControlSpan, Cut

__all__ = ["ControlSpan", "Cut", "apply_words", "from_gaps", "from_markers", "slice_episode", "take_cut"]


def from_markers(events: Sequence[tuple[int, str]], rule: EpisodeRule, end_ns: int) -> tuple[Cut, ...]:
    """Cuts from what a marker topic, a service or a button said: (ns since the first message, text), see `markers`.

    A start ends the cut before; one that nothing ends goes on to `end_ns`, the end of the recording. A truth value that
    is sent again and again is one event. Stops without a start and spans below `rule.min_s` make no cut; the `note` of
    the next cut, or of the last one, counts them. Text that is neither a start nor a stop is passed over.
    """
    found = _Collector(rule.min_s)
    level = ""
    for time_ns, text in sorted(events, key=lambda event: event[0]):
        marker = parse_marker(text, rule)
        if marker is None or (marker.level and marker.level == level):
            continue
        level = marker.level
        if marker.event == "start":
            found.start(time_ns, marker)
        else:
            found.stop(time_ns, marker)
    return found.finish(end_ns)


class _Collector:
    """Cuts so far, the one that is open, and the counts for the note of the next."""

    def __init__(self, min_s: float) -> None:
        self._min_ns = max(1, round(min_s * 1e9))
        self._cuts: list[Cut] = []
        self._open: tuple[int, Marker] | None = None
        self._strays = 0
        self._short = 0

    def start(self, time_ns: int, marker: Marker) -> None:
        if self._open is not None:
            self._close(time_ns, Marker("stop"))
        self._open = (time_ns, marker)

    def stop(self, time_ns: int, marker: Marker) -> None:
        if self._open is None:
            # A switch that is off when the recording begins is no stop of anything.
            self._strays += not marker.level
        else:
            self._close(time_ns, marker)

    def finish(self, end_ns: int) -> tuple[Cut, ...]:
        if self._open is not None:
            self._close(end_ns, Marker("stop", note="no stop marker"))
        left = self._counted()
        if left and self._cuts:
            self._cuts[-1] = replace(self._cuts[-1], note=_joined(self._cuts[-1].note, f"after it: {left}"))
        return tuple(self._cuts)

    def _close(self, end_ns: int, stop: Marker) -> None:
        assert self._open is not None
        start_ns, start = self._open
        self._open = None
        if end_ns - start_ns < self._min_ns:
            self._short += 1
            return
        before = self._counted()
        self._cuts.append(
            Cut(
                start_ns,
                end_ns,
                task=start.task or stop.task,
                instruction=start.instruction or stop.instruction,
                outcome=stop.outcome or start.outcome,
                note=_joined(start.note, stop.note, f"before it: {before}" if before else ""),
            )
        )
        self._strays = self._short = 0

    def _counted(self) -> str:
        strays = f"stops without a start: {self._strays}" if self._strays else ""
        return _joined(strays, f"too short: {self._short}" if self._short else "")


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


def from_gaps(times_ns: npt.NDArray[np.int64] | Sequence[int], rule: EpisodeRule) -> tuple[Cut, ...]:
    """Cuts between silences of at least `rule.gap_s`, from the times of one stream in ns since the first message.

    A cut ends 1 ns after its last sample, which therefore belongs to it. Spans below `rule.min_s` make no cut.
    """
    times = np.sort(np.asarray(times_ns, dtype=np.int64))
    if not len(times):
        return ()
    silent = np.flatnonzero(np.diff(times) >= round(rule.gap_s * 1e9))
    firsts, lasts = times[np.r_[0, silent + 1]], times[np.r_[silent, len(times) - 1]]
    spans = ((int(first), int(last)) for first, last in zip(firsts, lasts, strict=True))
    return tuple(Cut(first, last + 1) for first, last in spans if last - first >= round(rule.min_s * 1e9))
