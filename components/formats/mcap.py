"""MCAP with ROS 2 messages (CDR): one file is one episode.

Files are read as a stream, front to back. The seeking reader of the library refuses valid files whose summary does not
repeat the schemas (it raises KeyError), and says less about where a truncated file ends.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from mcap.records import Channel, Header, Message, Metadata, Schema
from mcap.stream_reader import StreamReader
from mcap_ros2.decoder import DecoderFactory

from components.core.episode import Episode, Stream
from components.core.errors import EpisodeError, FormatError
from components.formats.assemble import Times, build_episode, library_errors, numeric_stream
from components.formats.mapping import (
    EPISODE_METADATA,
    INSTRUCTION_TOPIC,
    POSE_STAMPED,
    STRING,
    TOPICS,
    Target,
)

MAGIC = b"\x89MCAP0\r\n"
# A record larger than this is a damaged length field; it is refused before memory is taken for it.
_RECORD_LIMIT = 1 << 30


@dataclass
class Topic:
    """Messages of one topic in the order of their log times; `data` is kept for the topics of the mapping only."""

    name: str
    encoding: str
    schema: Schema | None
    log_time_ns: list[int] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)

    @property
    def type_name(self) -> str:
        """ "sensor_msgs/JointState" for both spellings in use ("sensor_msgs/msg/JointState" is the other)."""
        return self.schema.name.replace("/msg/", "/") if self.schema else ""


@dataclass
class Contents:
    profile: str = ""
    topics: dict[str, Topic] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)


def scan(path: Path, *, where: str) -> Contents:
    """Reads a file once. Nothing is decoded here: a damaged schema harms its own topic only.

    Raises `FormatError` (truncated, unreadable).
    """
    contents = Contents()
    schemas: dict[int, Schema] = {}
    channels: dict[int, Topic] = {}
    with library_errors(where), path.open("rb") as stream:
        _require_end(stream, where)
        for record in StreamReader(stream, validate_crcs=True, record_size_limit=_RECORD_LIMIT).records:
            if isinstance(record, Message):
                topic = channels[record.channel_id]
                topic.log_time_ns.append(record.log_time)
                if topic.name in TOPICS or topic.name == INSTRUCTION_TOPIC:
                    topic.data.append(record.data)
            elif isinstance(record, Schema):
                schemas[record.id] = record
            elif isinstance(record, Channel):
                fresh = Topic(record.topic, record.message_encoding, schemas.get(record.schema_id))
                # Two channels may carry one topic (a recorder that restarted its publisher).
                channels[record.id] = contents.topics.setdefault(record.topic, fresh)
            elif isinstance(record, Metadata) and record.name == EPISODE_METADATA:
                contents.metadata.update(record.metadata)
            elif isinstance(record, Header):
                contents.profile = record.profile
    for topic in contents.topics.values():
        _sort_by_log_time(topic)
    return contents


def _require_end(stream: BinaryIO, where: str) -> None:
    """A whole file ends with the magic that it begins with; where a cut one stops, the library cannot say."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - len(MAGIC)))
    if size < 2 * len(MAGIC) or stream.read() != MAGIC:
        raise FormatError(
            f"the file ends too early, after {size} bytes", where=where, hint="Copy it again", code="truncated"
        )
    stream.seek(0)


def _sort_by_log_time(topic: Topic) -> None:
    if not topic.data:
        topic.log_time_ns.sort()
        return
    order = np.argsort(np.asarray(topic.log_time_ns, dtype=np.uint64), kind="stable")
    topic.log_time_ns = [topic.log_time_ns[index] for index in order]
    topic.data = [topic.data[index] for index in order]


def parts(path: Path, *, where: str) -> tuple[str, ...]:
    """One episode a file, known without reading it."""
    return ("",)


def read_part(path: Path, part: str, *, uri: str, sha256: str) -> Episode:
    """The episode of a file. Raises `FormatError` or `EpisodeError`."""
    contents = scan(path, where=uri)
    return episode_of(contents, uri=uri, sha256=sha256)


def episode_of(contents: Contents, *, uri: str, sha256: str) -> Episode:
    factory = DecoderFactory()
    streams = {}
    for name, (type_name, target) in TOPICS.items():
        topic = contents.topics.get(name)
        if topic is not None and topic.data:
            with library_errors(f"{uri} {name}"):
                streams[target.stream] = _stream(topic, type_name, target, factory, where=uri)
    if not streams:
        raise _nothing_mapped(contents, uri)
    return build_episode(
        streams,
        contents.metadata,
        instruction=_instruction(contents, factory, where=uri),
        source_uri=uri,
        source_sha256=sha256,
        source_format="mcap",
    )


def _nothing_mapped(contents: Contents, uri: str) -> FormatError:
    found = sorted(topic.name for topic in contents.topics.values() if topic.log_time_ns)
    if not found:
        return FormatError("holds no message", where=uri, code="no_episodes")
    listed = ", ".join(found[:8]) + (f" and {len(found) - 8} more" if len(found) > 8 else "")
    return FormatError(
        f"none of its topics ({listed}) is one of a demonstration",
        where=uri,
        hint=f"Expected {', '.join(TOPICS)}",
        code="missing_stream",
    )


def _decoder(topic: Topic, type_name: str, factory: DecoderFactory, *, where: str) -> Callable[[bytes], Any]:
    if topic.type_name != type_name:
        raise EpisodeError(
            f"topic {topic.name} holds {topic.type_name or 'untyped'} messages, expected {type_name}",
            where=where,
            code="wrong_type",
        )
    decoder = factory.decoder_for(topic.encoding, topic.schema)
    if decoder is None:
        encoding = f"{topic.encoding} with a {topic.schema.encoding if topic.schema else 'missing'} schema"
        raise EpisodeError(
            f"topic {topic.name} is encoded as {encoding}, expected cdr with ros2msg",
            where=where,
            code="unsupported_encoding",
        )
    return decoder


def _stream(topic: Topic, type_name: str, target: Target, factory: DecoderFactory, *, where: str) -> Stream:
    decode = _decoder(topic, type_name, factory, where=where)
    messages = [decode(data) for data in topic.data]
    time_ns = _sensor_time(messages, topic.name, where=where)
    if target.kind == "image":
        return Stream(target.stream, target.kind, time_ns, [bytes(message.data) for message in messages])
    if type_name == POSE_STAMPED:
        positions = [(m.pose.position.x, m.pose.position.y, m.pose.position.z) for m in messages]
        return numeric_stream(target, time_ns, positions, where=where)
    return numeric_stream(target, time_ns, _positions(messages, topic.name, target, where=where), where=where)


def _sensor_time(messages: list[Any], topic: str, *, where: str) -> Times:
    stamps = [message.header.stamp for message in messages]
    time_ns = np.array([stamp.sec * 1_000_000_000 + stamp.nanosec for stamp in stamps], dtype=np.int64)
    if len(time_ns) > 1 and not time_ns.any():
        raise EpisodeError(f"every header stamp of {topic} is zero", where=where, code="unstamped")
    return time_ns


def _positions(messages: list[Any], topic: str, target: Target, *, where: str) -> list[list[float]]:
    """Positions of JointState messages, in one order of the joints for the whole episode."""
    order = list(target.names) if target.names and messages[0].name else list(messages[0].name)
    rows = []
    for message in messages:
        names, row = list(message.name), list(message.position)
        if names != order and names:
            if sorted(names) != sorted(order) or len(row) != len(names):
                raise EpisodeError(
                    f"topic {topic} names {', '.join(names)}, expected {', '.join(order)}",
                    where=where,
                    code="wrong_names",
                )
            row = [row[names.index(name)] for name in order]
        rows.append(row)
    lengths = {len(row) for row in rows}
    if len(lengths) > 1:
        raise EpisodeError(
            f"messages of {topic} hold {' or '.join(map(str, sorted(lengths)))} positions",
            where=where,
            code="wrong_shape",
        )
    return rows


def _instruction(contents: Contents, factory: DecoderFactory, *, where: str) -> str:
    """First message on the instruction topic, else the metadata's, else empty."""
    topic = contents.topics.get(INSTRUCTION_TOPIC)
    if topic is None or not topic.data:
        return contents.metadata.get("instruction", "")
    with library_errors(f"{where} {INSTRUCTION_TOPIC}"):
        decode = _decoder(topic, STRING, factory, where=where)
        return str(decode(topic.data[0]).data)
