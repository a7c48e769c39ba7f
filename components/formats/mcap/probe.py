"""The first message of every topic, decoded: what it holds, or why it cannot be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from components.core.errors import FormatError
from components.formats.assemble import library_errors
from components.formats.mapping import StreamRule
from components.formats.mcap.clock import sensor_stamp
from components.formats.mcap.contents import Contents, counts_by_topic
from components.formats.mcap.decode import decoded, decoder_of
from components.formats.mcap.pictures import COMPRESSED, RAW, kind_of, picture, size_of
from components.formats.mcap.records import Block, read_chunk, read_records
from components.formats.mcap.topics import Source
from components.formats.mcap.values import JOINT_STATE, default_paths
from components.formats.mcap.walk import number_fields, text_in


@dataclass(frozen=True)
class Probe:
    """`picture`: image, depth or ""; `numbers`: how many a message holds; `joints`: their names; `stamp_ns`: its own.

    `problem`: why the topic cannot be decoded, "" where it can.
    """

    picture: str = ""
    shape: tuple[int, ...] = ()
    numbers: int = 0
    joints: tuple[str, ...] = ()
    text: str | None = None
    stamp_ns: int | None = None
    problem: str = ""


def probes(files: Sequence[Contents], *, where: str) -> dict[str, Probe]:
    """By topic, for every topic with a message; reads no further than to the first of the last one.

    Damaged chunks are passed over: a topic that is in no other is not among them.
    """
    missing = {topic for topic, count in counts_by_topic(files).items() if count}
    found: dict[str, Probe] = {}
    for file in files:
        for block in _blocks(file, missing, where):
            for message in file.channels.messages(block, lambda source: source.topic in missing):
                if message.source.topic in missing:
                    missing.discard(message.source.topic)
                    data = block.data[message.start : message.end]
                    found[message.source.topic] = probe(message.source, data, where=where)
            if not missing:
                return found
    return found


def _blocks(file: Contents, missing: set[str], where: str) -> Iterator[Block]:
    if file.plain:
        for item in read_records(file.path, where=where, on_bad_chunk=lambda *_: None):
            if isinstance(item, Block) and item.chunk < 0:
                yield item
    for ref in file.chunks:
        topics = {
            file.channels.sources[number].topic for number in ref.channels or () if number in file.channels.sources
        }
        if ref.channels is None or topics & missing:
            try:
                block = read_chunk(file.path, ref.offset, where=where)
            except FormatError:
                continue
            yield block


def probe(source: Source, data: bytes, *, where: str) -> Probe:
    """What one message holds; never raises for what is in it."""
    place = f"{where} {source.topic}"
    try:
        message = decoded(decoder_of(source, where=place), data, where=place)
        with library_errors(place, code="bad_message"):
            return _looked_at(source, message, place)
    except FormatError as error:
        return Probe(problem=f"{error.code}: {error.message}")


def _looked_at(source: Source, message: object, place: str) -> Probe:
    kind = source.type_name
    stamp = sensor_stamp(message)
    stamp_ns = None if stamp is None else stamp[0] * 1_000_000_000 + stamp[1]
    if kind in RAW or kind in COMPRESSED:
        shows = kind_of(kind, message)
        if not shows:
            return Probe(stamp_ns=stamp_ns, problem="unsupported_encoding: frames of this encoding are not read")
        rule = StreamRule.model_validate({"from": source.topic, "kind": shows})
        return Probe(shows, size_of(picture(message, kind, rule, where=place), where=place), stamp_ns=stamp_ns)
    joints = tuple(getattr(message, "name", ())) if kind == JOINT_STATE else ()
    count = _count(kind, message)
    shape = (count,) if count else ()
    return Probe("", shape, count, joints if len(joints) == count else (), text_in(message), stamp_ns)


def _count(kind: str, message: object) -> int:
    """How many numbers a message holds; fields of its type that are empty in it hold none."""
    known = dict(number_fields(message))
    return sum(known.get(path, 0) for path in default_paths(kind, message))
