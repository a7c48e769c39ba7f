"""Which channel of a file is which topic, and the messages in a block of records."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mcap.opcode import Opcode
from mcap.records import Channel, Schema

from components.core.errors import FormatError
from components.formats.assemble import library_errors
from components.formats.mcap.records import RECORD_HEAD, Block, as_stream

_MESSAGE_HEAD = struct.Struct("<HIQQ")


@dataclass(frozen=True, eq=False)
class Source:
    """A channel with its schema: what is needed to decode its messages."""

    topic: str
    encoding: str
    schema: Schema | None

    @property
    def type_name(self) -> str:
        """ "sensor_msgs/JointState" for both spellings in use ("sensor_msgs/msg/JointState" is the other)."""
        return self.schema.name.replace("/msg/", "/") if self.schema else ""


@dataclass(frozen=True, slots=True)
class Message:
    """`start`, `end`: where its bytes lie in the block."""

    source: Source
    log_ns: int
    publish_ns: int
    start: int
    end: int


@dataclass
class Channels:
    """Schemas and channels of one file, as they come by."""

    where: str
    schemas: dict[int, Schema] = field(default_factory=dict)
    sources: dict[int, Source] = field(default_factory=dict)

    def add_schema(self, schema: Schema) -> None:
        self.schemas.setdefault(schema.id, schema)

    def add_channel(self, channel: Channel) -> None:
        # A repeated channel stays the object that it was: decoders are kept by it.
        if channel.id not in self.sources:
            schema = self.schemas.get(channel.schema_id)
            self.sources[channel.id] = Source(channel.topic, channel.message_encoding, schema)

    def messages(self, block: Block, wanted: Callable[[Source], bool] | None = None) -> Iterator[Message]:
        """Messages of the sources that are `wanted` (None: of all). Raises `FormatError` (bad_record)."""
        data, offset, total = block.data, 0, len(block.data)
        while offset < total:
            start = offset + RECORD_HEAD.size
            opcode, length = RECORD_HEAD.unpack_from(data, offset) if start <= total else (0, total)
            if length > total - start or (opcode == Opcode.MESSAGE and length < _MESSAGE_HEAD.size):
                raise self._bad(block, offset, "is cut")
            offset = start + length
            if opcode == Opcode.MESSAGE:
                number, _, log_ns, publish_ns = _MESSAGE_HEAD.unpack_from(data, start)
                source = self.sources.get(number)
                if source is None:
                    raise self._bad(block, start, f"names channel {number}, which is not there")
                if wanted is None or wanted(source):
                    yield Message(source, log_ns, publish_ns, start + _MESSAGE_HEAD.size, offset)
            elif opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
                with library_errors(self._place(block, start), code="bad_record"):
                    content = as_stream(data[start:offset])
                    if opcode == Opcode.SCHEMA:
                        self.add_schema(Schema.read(content))
                    else:
                        self.add_channel(Channel.read(content))

    def _place(self, block: Block, offset: int) -> str:
        if block.chunk < 0:
            return f"{self.where} at byte {block.base + offset}"
        return f"{self.where} chunk at byte {block.chunk}"

    def _bad(self, block: Block, offset: int, what: str) -> FormatError:
        return FormatError(f"the record at byte {offset} {what}", where=self._place(block, offset), code="bad_record")
