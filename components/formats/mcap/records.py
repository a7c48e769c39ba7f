"""MCAP record by record: what lies where, how long it is and whether its checksum is right. Spec: mcap.dev/spec.

The file is read as a stream, front to back, because the library's seeking reader raises KeyError on valid files whose
summary does not repeat the schemas, and its streaming reader asks for as much memory as a damaged length says.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Header, Metadata

from components.core.errors import FormatError
from components.formats.assemble import library_errors
from components.formats.mcap.chunks import RECORD_LIMIT, unpack_chunk

MAGIC = b"\x89MCAP0\r\n"
RECORD_HEAD = struct.Struct("<BQ")
_ATTACHMENT_HEAD = 1 << 16
_STEP = 1 << 20


@dataclass(frozen=True, slots=True)
class Block:
    """Records that follow each other: those of a chunk, unpacked, or a single one that is in none.

    `chunk`: where the chunk's record begins in its file, -1 for none; `base`: place of `data[0]` in the file where
    there is no chunk, else 0.
    """

    chunk: int
    base: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Attachment:
    """Something that was put beside the messages; its bytes are left where they are."""

    name: str
    size: int


# (error, offset of the chunk's record, first and last log time that it claims to hold)
BadChunk = Callable[[FormatError, int, int, int], None]


def read_records(
    path: Path, *, where: str, on_bad_chunk: BadChunk | None = None
) -> Iterator[Block | Header | Metadata | Attachment]:
    """Everything before the summary, in the order of the file; one chunk is in memory at a time.

    `on_bad_chunk`: takes what is wrong with a damaged chunk, which is then passed over.
    Raises `FormatError` (truncated, bad_magic, bad_record, bad_chunk, bad_crc, too_large).
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        _require_magic(file, where)
        crc, offset, passed_over = zlib.crc32(MAGIC), len(MAGIC), 0
        while True:
            head = file.read(RECORD_HEAD.size)
            if len(head) < RECORD_HEAD.size:
                raise _cut(offset, where)
            opcode, length = RECORD_HEAD.unpack(head)
            if length > size - offset - len(head):
                raise FormatError(
                    f"the record at byte {offset} claims {length} bytes, {size - offset - len(head)} are left",
                    where=where,
                    code="bad_record",
                )
            if opcode == Opcode.DATA_END:
                _check_data(file.read(length), crc if not passed_over else None, where)
                return
            if opcode == Opcode.FOOTER:
                return
            crc = zlib.crc32(head, crc)
            if opcode == Opcode.ATTACHMENT or length > RECORD_LIMIT:
                attachment, crc = _skip_attachment(file, length, crc, opcode, offset, where)
                yield attachment
            else:
                content = file.read(length)
                crc = zlib.crc32(content, crc)
                if opcode == Opcode.CHUNK:
                    try:
                        yield Block(offset, 0, unpack_chunk(content, offset, where=where))
                    except FormatError as error:
                        if on_bad_chunk is None:
                            raise
                        passed_over += 1
                        on_bad_chunk(error, offset, *_claimed_span(content))
                elif opcode in (Opcode.SCHEMA, Opcode.CHANNEL, Opcode.MESSAGE):
                    yield Block(-1, offset, head + content)
                elif opcode in (Opcode.HEADER, Opcode.METADATA):
                    with library_errors(f"{where} at byte {offset}", code="bad_record"):
                        record = (Header if opcode == Opcode.HEADER else Metadata).read(as_stream(content))
                    yield record
            offset += RECORD_HEAD.size + length


def as_stream(content: bytes) -> ReadDataStream:
    """Content of a record for the library's parsers, which cannot read past its end."""
    return ReadDataStream(io.BytesIO(content))


def read_chunk(path: Path, offset: int, *, where: str) -> Block:
    """The chunk whose record begins at `offset`. Raises `FormatError` (bad_chunk)."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(min(offset, size))
        head = file.read(RECORD_HEAD.size)
        opcode, length = RECORD_HEAD.unpack(head) if len(head) == RECORD_HEAD.size else (0, 0)
        if opcode != Opcode.CHUNK or length > min(size - offset - len(head), RECORD_LIMIT):
            raise FormatError(f"there is no whole chunk at byte {offset}", where=where, code="bad_chunk")
        content = file.read(length)
    return Block(offset, 0, unpack_chunk(content, offset, where=where))


def is_cut(path: Path, *, where: str) -> bool:
    """A whole file ends with the magic that it begins with. Raises `FormatError` (bad_magic) where it has another."""
    size = path.stat().st_size
    with path.open("rb") as file:
        _require_magic(file, where)
        file.seek(max(0, size - len(MAGIC)))
        return size < 2 * len(MAGIC) or file.read() != MAGIC


def _require_magic(file: BinaryIO, where: str) -> None:
    if file.read(len(MAGIC)) != MAGIC:
        raise FormatError("does not begin as an MCAP file does", where=where, code="bad_magic")


def _cut(offset: int, where: str) -> FormatError:
    return FormatError(f"the file ends too early, after {offset} bytes", where=where, code="truncated")


def _check_data(content: bytes, crc: int | None, where: str) -> None:
    stated = int.from_bytes(content[:4], "little")
    if stated and crc is not None and stated != crc:
        raise FormatError(
            f"the checksum of its data is {crc:08x}, the file says {stated:08x}",
            where=where,
            hint="Copy it again",
            code="bad_crc",
        )


def _skip_attachment(
    file: BinaryIO, length: int, crc: int, opcode: int, offset: int, where: str
) -> tuple[Attachment, int]:
    if opcode != Opcode.ATTACHMENT:
        raise FormatError(
            f"the record at byte {offset} has {length} bytes, more than {RECORD_LIMIT}", where=where, code="too_large"
        )
    start, left = b"", length
    while left:
        block = file.read(min(left, _STEP))
        if not block:
            raise _cut(offset, where)
        crc, left = zlib.crc32(block, crc), left - len(block)
        start = start or block[:_ATTACHMENT_HEAD]
    (count,) = struct.unpack_from("<I", start, 16) if len(start) >= 20 else (0,)
    return Attachment(start[20 : 20 + count].decode(errors="replace"), length), crc


def _claimed_span(content: bytes) -> tuple[int, int]:
    return struct.unpack_from("<QQ", content) if len(content) >= 16 else (0, 0)
