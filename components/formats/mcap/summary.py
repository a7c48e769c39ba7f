"""The summary at the end of a file: what is where, without the messages. Used where its checksum is right."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import BinaryIO

from mcap.opcode import Opcode
from mcap.records import (
    AttachmentIndex,
    Channel,
    ChunkIndex,
    Footer,
    Header,
    McapRecord,
    Metadata,
    MetadataIndex,
    Schema,
    Statistics,
)

from components.formats.mcap.contents import ChunkRef, Contents
from components.formats.mcap.records import MAGIC, RECORD_HEAD, as_stream
from components.formats.mcap.topics import Channels

_FOOTER_BYTES = RECORD_HEAD.size + 20
_MOST_BYTES = 1 << 28
_PARSERS: dict[int, type[McapRecord]] = {
    Opcode.SCHEMA: Schema,
    Opcode.CHANNEL: Channel,
    Opcode.STATISTICS: Statistics,
    Opcode.CHUNK_INDEX: ChunkIndex,
    Opcode.METADATA_INDEX: MetadataIndex,
    Opcode.ATTACHMENT_INDEX: AttachmentIndex,
}


def read_summary(path: Path, *, where: str) -> Contents | None:
    """Contents as the summary tells them, or None where it is absent, damaged or leaves something out."""
    with path.open("rb") as file:
        data = _summary_bytes(file)
        if data is None:
            return None
        # Only summaries with a right checksum come here; a parser that fails met a writer that disagrees with the spec.
        try:
            records = _records(data)
            contents = _contents(path, records, where)
            return contents if contents and _read_beside(file, contents, records) else None
        except Exception:
            return None


def _summary_bytes(file: BinaryIO) -> bytes | None:
    size = file.seek(0, os.SEEK_END)
    end = size - len(MAGIC) - _FOOTER_BYTES
    if end < len(MAGIC):
        return None
    file.seek(end)
    raw = file.read(_FOOTER_BYTES)
    if RECORD_HEAD.unpack_from(raw) != (Opcode.FOOTER, 20):
        return None
    footer = Footer.read(as_stream(raw[RECORD_HEAD.size :]))
    if not len(MAGIC) <= footer.summary_start < end or end - footer.summary_start > _MOST_BYTES:
        return None
    file.seek(footer.summary_start)
    data = file.read(end - footer.summary_start)
    return data if footer.summary_crc == zlib.crc32(raw[:-4], zlib.crc32(data)) else None


def _records(data: bytes) -> dict[type[McapRecord], list[McapRecord]]:
    found: dict[type[McapRecord], list[McapRecord]] = {kind: [] for kind in _PARSERS.values()}
    offset = 0
    while offset < len(data):
        opcode, length = RECORD_HEAD.unpack_from(data, offset)
        start = offset + RECORD_HEAD.size
        if opcode in _PARSERS:
            kind = _PARSERS[opcode]
            found[kind].append(kind.read(as_stream(data[start : start + length])))  # type: ignore[attr-defined]
        offset = start + length
    return found


def _contents(path: Path, records: dict[type[McapRecord], list[McapRecord]], where: str) -> Contents | None:
    if len(records[Statistics]) != 1:
        return None
    total = records[Statistics][0]
    assert isinstance(total, Statistics)
    channels = Channels(where)
    for schema in records[Schema]:
        assert isinstance(schema, Schema)
        channels.add_schema(schema)
    for channel in records[Channel]:
        assert isinstance(channel, Channel)
        channels.add_channel(channel)
    counts = total.channel_message_counts
    complete = (
        len(channels.sources) == total.channel_count
        and len(channels.schemas) == total.schema_count
        and len(records[ChunkIndex]) == total.chunk_count
        and len(records[MetadataIndex]) == total.metadata_count
        and sum(counts.values()) == total.message_count
        and set(counts) <= set(channels.sources)
        and (total.chunk_count > 0 or total.message_count == 0)
    )
    if not complete:
        return None
    contents = Contents(path, channels)
    for number, count in counts.items():
        if count:
            contents.counts[channels.sources[number].topic] += count
    if total.message_count:
        contents.start_ns, contents.end_ns = total.message_start_time, total.message_end_time
    for index in records[ChunkIndex]:
        assert isinstance(index, ChunkIndex)
        numbers = frozenset(index.message_index_offsets) or None
        ref = ChunkRef(index.chunk_start_offset, index.message_start_time, index.message_end_time, numbers)
        contents.chunks.append(ref)
    contents.chunks.sort(key=lambda ref: ref.offset)
    return contents


def _read_beside(file: BinaryIO, contents: Contents, records: dict[type[McapRecord], list[McapRecord]]) -> bool:
    """Header and metadata, which the summary only points at; False where they are not there."""
    header = _record_at(file, len(MAGIC), Opcode.HEADER)
    if header is None:
        return False
    contents.profile = Header.read(as_stream(header)).profile
    for index in records[MetadataIndex]:
        assert isinstance(index, MetadataIndex)
        content = _record_at(file, index.offset, Opcode.METADATA)
        if content is None:
            return False
        metadata = Metadata.read(as_stream(content))
        contents.metadata.append((metadata.name, metadata.metadata))
    for attachment in records[AttachmentIndex]:
        assert isinstance(attachment, AttachmentIndex)
        contents.attachments.append(attachment.name)
    return True


def _record_at(file: BinaryIO, offset: int, expected: int) -> bytes | None:
    file.seek(offset)
    head = file.read(RECORD_HEAD.size)
    if len(head) < RECORD_HEAD.size:
        return None
    opcode, length = RECORD_HEAD.unpack(head)
    if opcode != expected or length > _MOST_BYTES:
        return None
    content = file.read(length)
    return content if len(content) == length else None
