"""RLDS: one record of a TFRecord file is one episode.

A record is the bound on memory: it is read whole to check its CRC, at most 2 GiB. Its pictures are read again from the
file when they are looked at. Steps behind the first that `is_last` marks are ignored; where none is marked, as in some
published data, the episode ends with its record. On a marked step action and reward have no meaning
(google-research/rlds), so action streams are one sample shorter then.
"""

from __future__ import annotations

from pathlib import Path

from components.core.episode import Episode
from components.core.errors import FormatError
from components.formats.assemble import build_episode
from components.formats.carried import plain_words
from components.formats.mapping import Mapping
from components.formats.rlds.describe import extra_of, field_of, words_of
from components.formats.rlds.example import Values, parse_example
from components.formats.rlds.features import Feature, load_features, records_promised
from components.formats.rlds.guess import guessed_mapping
from components.formats.rlds.own import own_mapping, own_record
from components.formats.rlds.record import as_record
from components.formats.rlds.streams import Source, stream_of, times_of
from components.formats.rlds.tfrecord import Framing, Span, framing, payload
from components.formats.source import Field, Opened, Problem, Recording

_PART = "record-"


def open_source(path: Path, mapping: Mapping | None, *, where: str) -> Opened:
    """Follows the framing; a file that breaks off has one more part, which says so when it is read."""
    found = framing(path, where=where)
    if not found.spans:
        raise _broken_off(found, where)
    features, problems = _features(path, where)
    problems += _disagreements(path, found, where)
    damaged: list[FormatError] = []
    own = None if mapping else own_mapping(path, found.spans, features, damaged, where=where)
    problems += [Problem(error.code, error.where or where, error.message) for error in damaged]
    ruling = mapping or own or _guess(path, found, features, where)
    names = tuple(_part(number) for number in range(len(found.spans) + (found.end is not None)))
    return Opened("rlds", names, ruling, tuple(problems))


def fields(path: Path, part: str, mapping: Mapping, *, where: str) -> list[Field]:
    """Every feature of a record; features of the steps under their names below `steps`."""
    span = _span(path, part, where=where.removesuffix(f"#{part}"), place=where)
    features, _ = _features(path, where)
    record = as_record(parse_example(payload(path, span, where=where), where=where), features, where=where)
    mapped = {record.full_key(rule.source): name for name, rule in mapping.streams.items()}
    return [field_of(record, full, mapped.get(full, ""), where=where) for full in record.values]


def read_part(recording: Recording, part: str) -> Episode:
    """One record. Raises `FormatError` (truncated, bad_length, bad_crc, bad_message) or `EpisodeError`."""
    path, mapping, where = recording.path, recording.mapping, recording.uri_of(part)
    span = _span(path, part, where=recording.uri, place=where)
    features, _ = _features(path, where)
    data = payload(path, span, where=where)
    record = as_record(parse_example(data, where=where), features, where=where)
    times, extra = times_of(record, mapping, where=where), extra_of(record)
    if not mapping.time:
        extra["clock"] = "assumed"
    streams = {}
    for name, rule in mapping.streams.items():
        stream = stream_of(record, name, rule, times, Source(path, span, data), where=where)
        if stream is not None:
            streams[name] = stream
    for key, source in (("instruction", mapping.instruction), ("task", mapping.task)):
        extra |= words_of(record, key, source, where=where)
    own = own_record(record.values, where=where)
    return build_episode(
        streams,
        plain_words(extra | own.words if own else extra),
        mapping,
        source_uri=where,
        source_sha256=recording.sha256,
        source_format="rlds",
        calibration=own.calibration if own else {},
        carried_id=own.carried_id if own else "",
    )


def _part(number: int) -> str:
    return f"{_PART}{number:06d}"


def _span(path: Path, part: str, *, where: str, place: str) -> Span:
    found = framing(path, where=where)
    number = int(part.removeprefix(_PART)) if part.removeprefix(_PART).isdecimal() else -1
    if 0 <= number < len(found.spans):
        return found.spans[number]
    if number == len(found.spans) and found.end is not None:
        raise _broken_off(found, place)
    raise FormatError(f"holds {len(found.spans)} records, none is {part!r}", where=place, code="missing_part")


def _broken_off(found: Framing, where: str) -> FormatError:
    if found.end is None:
        return FormatError("holds no record", where=where, code="no_episodes")
    return FormatError(found.end.detail, where=where, hint="Copy the file again", code=found.end.code)


def _features(path: Path, where: str) -> tuple[dict[str, Feature], list[Problem]]:
    """Of features.json; where that is damaged, widths are inferred as if it were not there."""
    try:
        return load_features(path.parent, where=where), []
    except FormatError as error:
        return {}, [Problem(error.code, error.where or where, error.message)]


def _disagreements(path: Path, found: Framing, where: str) -> list[Problem]:
    try:
        promised = records_promised(path, where=where)
    except FormatError as error:
        return [Problem(error.code, error.where or where, error.message)]
    if promised is None or promised == len(found.spans):
        return []
    said = f"dataset_info.json promises {promised} records, {len(found.spans)} can be found"
    return [Problem("count_mismatch", where, said)]


def _guess(path: Path, found: Framing, features: dict[str, Feature], where: str) -> Mapping:
    """From features.json, else from the first record that can be read. Raises `FormatError` where nothing fits."""
    values: dict[str, Values] = {}
    first: FormatError | None = None
    for number, span in enumerate(found.spans if not features else ()):
        place = f"{where}#{_part(number)}"
        try:
            values = parse_example(payload(path, span, where=place), where=place)
        except FormatError as error:
            first = first or error
            continue
        break
    if not features and not values and first is not None:
        raise first
    mapping = guessed_mapping(features, values)
    if not mapping.streams:
        listed = ", ".join(list(features or values)[:8]) or "nothing"
        raise FormatError(
            f"none of its features ({listed}) is a stream of an episode",
            where=where,
            hint="Say with a mapping which features are streams",
            code="missing_stream",
        )
    return mapping
