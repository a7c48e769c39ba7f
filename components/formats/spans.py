"""Spans of a recording on the clock that counts from its first message."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ControlSpan:
    """Who moved the robot in [start_ns, end_ns), on the clock of the cut: one of `core.episode.CONTROL_SOURCES`."""

    start_ns: int
    end_ns: int
    source: str


@dataclass(frozen=True)
class Cut:
    """A half-open span [start_ns, end_ns) of a source, in ns since its first message (MCAP: log time) or sample.

    `part`: the part of the source that it cuts, "" for all of a file; empty words mean that the recording's own hold;
    a cut that is not kept is a span that somebody looked at and left out.
    """

    start_ns: int
    end_ns: int
    part: str = ""
    task: str = ""
    instruction: str = ""
    outcome: str = ""
    control: tuple[ControlSpan, ...] = ()
    keep: bool = True
    note: str = ""

    @property
    def name(self) -> str:
        """Stable name of the episode it makes: the part and the span in seconds."""
        span = f"{self.start_ns / 1e9:.3f}-{self.end_ns / 1e9:.3f}s"
        return f"{self.part}@{span}" if self.part else span
