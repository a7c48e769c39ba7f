"""MCAP files and split bags with ROS 2 (CDR), protobuf and JSON messages: one episode each, or several by cuts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from components.core.episode import Episode
from components.core.errors import EpisodeError, FormatError
from components.core.files import digest_json
from components.formats.assemble import build_episode
from components.formats.cuts import Cut
from components.formats.mapping import Mapping, fitting_mapping
from components.formats.mcap.bag import disagreements, open_bag
from components.formats.mcap.contents import (
    Contents,
    counts_by_topic,
    first_ns,
    sources_by_topic,
)
from components.formats.mcap.cutting import cuts_of
from components.formats.mcap.gather import Gathered, Span, gather_all, gather_span, nothing_mapped
from components.formats.mcap.guess import guess_mapping
from components.formats.mcap.index import contents_of
from components.formats.mcap.own import opened_seal, own_mapping, own_metadata, seal_for
from components.formats.mcap.probe import Probe, probes
from components.formats.mcap.scan import require_whole, scan
from components.formats.source import Field, Opened, Problem, Recording


@contextmanager
def _opening(where: str) -> Iterator[None]:
    """A file that the system does not let read, or not to its end."""
    try:
        yield
    except OSError as error:
        raise FormatError(f"cannot be read ({error.strerror or error})", where=where, code="unreadable") from error


def open_source(path: Path, mapping: Mapping | None, *, where: str) -> Opened:
    """Dialect, the mapping that rules, and cuts where it has a rule for them. Raises `FormatError`.

    A file with a sound summary is not read for it; one without is scanned once. Damaged chunks are problems here and
    errors of the episodes that they belong to.
    """
    with _opening(where):
        return _opened(path, mapping, where)


def _opened(path: Path, mapping: Mapping | None, where: str) -> Opened:
    bag = open_bag(path, where=where)
    files = [contents_of(file, where=_place(where, file, bag.files)) for file in bag.files]
    problems = list(disagreements(bag, files, where))
    damaged: list[FormatError] = []
    own = None if mapping else own_mapping(own_metadata(bag.files, where=where), damaged, where=where)
    ruling = mapping or own or _fitting(files, where)
    problems += [Problem(error.code, error.where or where, error.message) for error in damaged]
    cuts: tuple[Cut, ...] = ()
    if ruling.episode.by != "file":
        cuts, hidden = cuts_of(files, ruling, where=where)
        problems += hidden
    problems += [
        Problem(error.code, error.where or where, error.message)
        for file in files
        for error in file.damage
        if not any(problem.where == error.where for problem in problems)
    ]
    return Opened(_dialect(files), ("",), ruling, tuple(problems), cuts)


def _fitting(files: Sequence[Contents], where: str) -> Mapping:
    counts = counts_by_topic(files)
    fitting = fitting_mapping((topic for topic, count in counts.items() if count), "mcap")
    if fitting is not None:
        return fitting
    last_ns = max((file.end_ns for file in files), default=0)
    return guess_mapping(sources_by_topic(files), probes(files, where=where), counts, last_ns)


def _dialect(files: Sequence[Contents]) -> str:
    """The profile that the files claim, else the encodings of their messages."""
    profiles = sorted({file.profile for file in files if file.profile})
    encodings = sorted({source.encoding for file in files for source in file.sources if source.encoding})
    return "+".join(profiles or encodings) or "mcap"


def fields(path: Path, part: str, mapping: Mapping, *, where: str) -> list[Field]:
    """Every topic, sorted by name, read or not; one that cannot be decoded says why. Raises `FormatError`."""
    with _opening(where):
        return _fields(path, mapping, where)


def _fields(path: Path, mapping: Mapping, where: str) -> list[Field]:
    bag = open_bag(path, where=where)
    for file in bag.files:
        require_whole(file, where=_place(where, file, bag.files))
    files = [scan(file, where=_place(where, file, bag.files), pass_over=True) for file in bag.files]
    found, counts = probes(files, where=where), counts_by_topic(files)
    streams: dict[str, list[str]] = {}
    for name, rule in sorted(mapping.streams.items()):
        streams.setdefault(rule.source, []).append(name)
    listed = []
    for topic, source in sources_by_topic(files).items():
        seen = found.get(topic, Probe())
        rate_hz = _rate_hz([time for file in files for time in file.log_ns.get(topic, ())])
        for stream in streams.get(topic, [""]):
            kind = source.type_name or source.encoding
            listed.append(Field(topic, kind, seen.shape, counts[topic], rate_hz, stream, seen.problem))
    return listed


def _rate_hz(log_ns: Sequence[int]) -> float:
    """Median rate of log times; 0 where fewer than two or no time passes."""
    steps = np.diff(np.array(log_ns, dtype=np.float64))
    step = float(np.median(steps)) if len(steps) else 0.0
    return 1e9 / step if step > 0 else 0.0


def read_part(recording: Recording, part: str) -> Episode:
    """All of a recording as one episode. Raises `FormatError` or `EpisodeError`."""
    where = recording.uri_of(part)
    with _opening(where):
        bag = open_bag(recording.path, where=where)
        for file in bag.files:
            require_whole(file, where=_place(where, file, bag.files))
        own = own_metadata(bag.files, where=where)
        seal = seal_for(own, where=where)
        gathered = gather_all(bag.files, recording.mapping, where=where, seal=seal)
    carried = ""
    if seal is not None:
        notes, gathered.calibration, carried = opened_seal(seal, own, gathered.words, where=where)
        gathered.words |= notes
    return _episode(gathered, recording, where, carried_id=carried)


def read_range(recording: Recording, part: str, start_ns: int, end_ns: int) -> Episode:
    """What was logged from `start_ns` to before `end_ns`, in ns since the first message of the recording.

    Chunks outside of the span are not unpacked, where the file says what they hold. Raises as `read_part` does.
    """
    where = recording.uri_of(part)
    if not 0 <= start_ns < end_ns:
        raise EpisodeError(f"the span from {start_ns} to {end_ns} ns is empty", where=where, code="bad_span")
    with _opening(where):
        bag = open_bag(recording.path, where=where)
        files = [contents_of(file, where=_place(where, file, bag.files)) for file in bag.files]
        if not sum(counts_by_topic(files).values()):
            raise nothing_mapped([], recording.mapping, where)
        origin = first_ns(files)
        gathered = gather_span(files, recording.mapping, Span(origin + start_ns, origin + end_ns), where=where)
    return _episode(gathered, recording, where)


def origin_ns(path: Path, *, where: str) -> int:
    """Log time of the first message, from which cuts count. Raises `FormatError`."""
    with _opening(where):
        bag = open_bag(path, where=where)
        return first_ns([contents_of(file, where=_place(where, file, bag.files)) for file in bag.files])


def _episode(gathered: Gathered, recording: Recording, where: str, *, carried_id: str = "") -> Episode:
    words = dict(gathered.words)
    if gathered.calibration and not words.get("calibration_digest"):
        words["calibration_digest"] = digest_json(gathered.calibration)
    return build_episode(
        gathered.streams,
        words,
        recording.mapping,
        source_uri=where,
        source_sha256=recording.sha256,
        source_format="mcap",
        calibration=gathered.calibration,
        carried_id=carried_id,
    )


def _place(where: str, file: Path, files: Sequence[Path]) -> str:
    return f"{where}/{file.name}" if len(files) > 1 else where
