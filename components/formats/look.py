"""Looks at one source without refusing any of it: `inspect` adds up what is seen."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from components.core.episode import PICTURES, Episode, Stream
from components.core.errors import FormatError
from components.formats.cut_lists import CutList
from components.formats.cuts import Cut
from components.formats.images import decode_depth, decode_image
from components.formats.mapping import Mapping
from components.formats.proposals import propose
from components.formats.registry import fields, open_recording, read_part
from components.formats.source import Found, Problem, Recording

# Name, kind, shape of a sample, type.
StreamKey = tuple[str, str, tuple[int, ...], str]

# Faster than this is no sensor of a robot: the clock does not count what it says.
MAX_RATE_HZ = 1e6
# Streams that lie further apart do not have one clock.
MAX_GAP_S = 3600.0
# A source is not hashed for being looked at.
_UNHASHED = "0" * 64
# A reader may begin what it says of a field with a code: "bad_schema: ..." or "padding".
_CODE = re.compile(r"([a-z0-9]+(?:_[a-z0-9]+)+|padding|ragged)(?::|$)")


@dataclass
class Sums:
    """What adds up over episodes. Streams of one name but another shape or type stay apart."""

    episodes: int = 0
    frames: int = 0
    counts: Counter[StreamKey] = field(default_factory=Counter)
    rates: dict[StreamKey, list[float]] = field(default_factory=dict)
    tasks: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    def add_stream(self, key: StreamKey, count: int, *rates_hz: float) -> None:
        self.counts[key] += count
        self.rates.setdefault(key, []).extend(rates_hz)

    def add_sums(self, other: Sums) -> None:
        self.episodes += other.episodes
        self.frames += other.frames
        for key, count in other.counts.items():
            self.add_stream(key, count, *other.rates[key])
        self.tasks |= other.tasks
        self.problems += other.problems


@dataclass
class Seen(Sums):
    """What one source holds."""

    format: str = ""
    dialect: str = ""
    mapping: Mapping | None = None
    cuts: tuple[Cut, ...] = ()


@dataclass(frozen=True)
class Task:
    """A source and how it is to be read."""

    found: Found
    mappings: tuple[Mapping, ...] = ()
    cuts: CutList | None = None


def look(task: Task) -> Seen:
    """Every part of a source. What is wrong becomes a problem; one that many parts share is said once."""
    found = task.found
    seen = Seen(format=found.format)
    try:
        recording = open_recording(found, task.mappings, sha256=_UNHASHED, cuts=task.cuts)
    except FormatError as error:
        seen.problems.append(_problem(error, found.uri))
        return seen
    seen.dialect, seen.mapping, seen.cuts = recording.dialect, recording.mapping, recording.cuts
    shared: dict[tuple[str, str], list[str]] = {}
    for part in recording.parts:
        where = recording.uri_of(part)
        for problem in _look_at_part(recording, part, seen):
            shared.setdefault((problem.code, problem.detail), []).append(problem.where or where)
    if seen.episodes == 1 and not any(code == "clocks_apart" for code, _ in shared):
        seen.cuts = _proposed(recording)
    seen.problems += recording.problems
    seen.problems += [_said_once(code, detail, places, found.uri) for (code, detail), places in shared.items()]
    return seen


def _proposed(recording: Recording) -> tuple[Cut, ...]:
    try:
        return propose(recording)
    except FormatError:
        # What is wrong was said when the part was read.
        return ()


def _said_once(code: str, detail: str, places: list[str], uri: str) -> Problem:
    places = list(dict.fromkeys(places))
    return Problem(code, *((places[0], detail) if len(places) == 1 else (uri, f"{detail} ({len(places)} times)")))


def _look_at_part(recording: Recording, part: str, seen: Seen) -> Iterator[Problem]:
    where = recording.uri_of(part)
    try:
        for one in fields(recording, part):
            if one.problem:
                code = _CODE.match(one.problem)
                said = one.problem[code.end() :].strip() if code else one.problem
                detail = f"{one.name} ({one.type}): {said or one.problem}"
                yield Problem(code[1] if code else "undecodable", where, detail)
            if not one.stream:
                seen.add_stream((one.name, "unmapped", one.shape, one.type), one.count, _sane(one.rate_hz))
        episode = read_part(recording, part)
    except FormatError as error:
        yield _problem(error, where)
        return
    yield from _add_episode(episode, where, seen)


def _add_episode(episode: Episode, where: str, seen: Seen) -> Iterator[Problem]:
    seen.episodes += 1
    actions = [len(stream) for stream in episode.of_kind("action")]
    seen.frames += max(actions or [len(stream) for stream in episode.streams.values()], default=0)
    seen.tasks |= {episode.task or episode.instruction.strip()} - {""}
    for stream in episode.streams.values():
        try:
            shape, dtype = _sample_of(stream, where)
        except FormatError as error:
            yield _problem(error, where)
            continue
        seen.add_stream((stream.name, stream.kind, shape, dtype), len(stream), _sane(stream.rate_hz))
    for code, detail in _lacks(episode):
        yield Problem(code, where, detail)


def _sample_of(stream: Stream, where: str) -> tuple[tuple[int, ...], str]:
    """Shape and type of one sample; the first picture of a camera is decoded for it."""
    if stream.kind not in PICTURES:
        return tuple(np.asarray(stream.values).shape[1:]), "float64"
    if not len(stream):
        return (), "none"
    first = stream.values[0]
    decode = decode_depth if stream.kind == "depth" else decode_image
    picture = decode(first, where=f"{where} ({stream.name})")  # type: ignore[arg-type]
    return picture.shape, str(picture.dtype) if isinstance(first, np.ndarray) else "jpeg/png"


def _lacks(episode: Episode) -> Iterator[tuple[str, str]]:
    if not episode.of_kind("action"):
        yield "missing_stream", "no stream of kind action"
    if not episode.instruction.strip():
        yield "missing_instruction", "the recording does not hold an instruction"
    apart = _clocks_apart(episode)
    if apart:
        yield "clocks_apart", apart
    for stream in episode.streams.values():
        back = int((stream.time_ns[1:] < stream.time_ns[:-1]).sum())
        if back:
            yield "clock_backwards", f"the clock of {stream.name!r} goes back {back} times"
        elif len(stream) > 1 and stream.time_ns[0] == stream.time_ns[-1]:
            yield "clock_stands", f"all {len(stream)} samples of {stream.name!r} have one time"
        elif stream.rate_hz > MAX_RATE_HZ:
            yield "bad_time", f"samples of {stream.name!r} are less than a microsecond apart"
        if stream.kind not in PICTURES and not np.isfinite(np.asarray(stream.values)).all():
            yield "not_finite", f"stream {stream.name!r} holds NaN or infinity"


def _clocks_apart(episode: Episode) -> str:
    """Which streams do not share a clock, "" where all do: one may count from 1970, another since its start."""
    spans = [(int(s.time_ns.min()), int(s.time_ns.max()), name) for name, s in episode.streams.items() if len(s)]
    first, last = max(spans), min(spans, key=lambda span: span[1])
    gap_s = (first[0] - last[1]) / 1e9
    return f"{first[2]!r} begins {gap_s:.0f} s after the end of {last[2]!r}" if gap_s > MAX_GAP_S else ""


def _sane(rate_hz: float) -> float:
    """0 where a clock that counts something else, or has run over, gives a rate of no sensor."""
    return rate_hz if 0 < rate_hz <= MAX_RATE_HZ else 0.0


def _problem(error: FormatError, where: str) -> Problem:
    return Problem(error.code, error.where or where, error.message)
