"""TFRecord framing: length, masked CRC-32C of the length, payload, masked CRC-32C of the payload.

Source: tensorflow/core/lib/io/record_writer.h.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import google_crc32c

from components.core.errors import FormatError
from components.formats.assemble import library_errors
from components.formats.source import Problem

_MASK_DELTA = 0xA282EAD8
_HEAD_BYTES, _FOOT_BYTES = 12, 4
# What a serialised protobuf message may be at most, and so the bound on the memory that a record takes.
MAX_RECORD_BYTES = 2**31 - 1


@dataclass(frozen=True)
class Span:
    """Where the payload of a record lies in its file."""

    offset: int
    length: int


@dataclass(frozen=True)
class Framing:
    """The records of a file in order; `end`: why it cannot be followed to its end, None where it can."""

    spans: tuple[Span, ...]
    end: Problem | None


def masked_crc(data: bytes) -> int:
    """CRC-32C rotated right by 15 bits plus a constant, so that data which holds CRCs does not check itself."""
    crc: int = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def framed(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Head, payload and foot of a record, to be written one after the other: what `framing` and `payload` read."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc(length)), data, struct.pack("<I", masked_crc(data))


def length_of(head: bytes) -> int | None:
    """Payload bytes of a record that begins with these 12 bytes, or None where they are no head of a record."""
    if len(head) < _HEAD_BYTES:
        return None
    length, crc = struct.unpack("<QI", head[:_HEAD_BYTES])
    return length if masked_crc(head[:8]) == crc else None


def framing(path: Path, *, where: str) -> Framing:
    """Follows the lengths from record to record; payloads are skipped. Raises `FormatError` (unreadable)."""
    with library_errors(where, code="unreadable"):
        status = path.stat()
        return _framing(path, where, status.st_size, status.st_mtime_ns)


# One part after the other asks for the same file.
@lru_cache(maxsize=4)
def _framing(path: Path, where: str, size: int, changed_ns: int) -> Framing:
    spans: list[Span] = []
    with path.open("rb") as stream:
        offset = 0
        while offset < size:
            stream.seek(offset)
            head = stream.read(_HEAD_BYTES)
            place = f"{where}#record-{len(spans):06d}"
            if len(head) < _HEAD_BYTES:
                return Framing(tuple(spans), _truncated(place, offset, f"{len(head)} bytes of a record's head"))
            length = length_of(head)
            if length is None:
                return Framing(tuple(spans), _bad_length(place, offset))
            left = size - offset - _HEAD_BYTES - _FOOT_BYTES
            if length > left:
                said = f"{length} bytes are said to follow, {max(left, 0)} do"
                return Framing(tuple(spans), _truncated(place, offset, said))
            spans.append(Span(offset + _HEAD_BYTES, length))
            offset += _HEAD_BYTES + length + _FOOT_BYTES
    return Framing(tuple(spans), None)


def payload(path: Path, span: Span, *, where: str) -> bytes:
    """The bytes of one record. Raises `FormatError` (too_large, truncated, bad_crc, unreadable)."""
    if span.length > MAX_RECORD_BYTES:
        raise FormatError(
            f"a record of {span.length} bytes, at most {MAX_RECORD_BYTES} fit a protobuf message",
            where=where,
            code="too_large",
        )
    with library_errors(where, code="unreadable"), path.open("rb") as stream:
        stream.seek(span.offset, os.SEEK_SET)
        data = stream.read(span.length)
        foot = stream.read(_FOOT_BYTES)
    if len(data) < span.length or len(foot) < _FOOT_BYTES:
        raise FormatError("the file became shorter while it was read", where=where, code="truncated")
    if struct.unpack("<I", foot)[0] != masked_crc(data):
        raise FormatError(
            f"the checksum of the record at byte {span.offset} is wrong",
            where=where,
            hint="Copy the file again; the other records can be read",
            code="bad_crc",
        )
    return data


def _truncated(where: str, offset: int, said: str) -> Problem:
    return Problem("truncated", where, f"the file ends within the record at byte {offset} ({said})")


def _bad_length(where: str, offset: int) -> Problem:
    detail = f"the checksum of the length at byte {offset} is wrong, so nothing behind it can be found"
    return Problem("bad_length", where, detail)
