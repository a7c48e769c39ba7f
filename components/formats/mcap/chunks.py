"""Chunks: unpacked within the size that they claim, and checked against their checksum."""

from __future__ import annotations

import struct
import zlib

import lz4.frame
import zstandard

from components.core.errors import FormatError
from components.formats.assemble import library_errors

# A record or chunk larger than this is a damaged length field; it is refused before memory is taken for it.
RECORD_LIMIT = 1 << 30
_CHUNK_HEAD = struct.Struct("<QQQII")
_STEP = 1 << 22


def unpack_chunk(content: bytes, offset: int, *, where: str) -> bytes:
    """Records in the chunk whose record lies at byte `offset`. Raises `FormatError` (bad_chunk, too_large)."""
    place = f"{where} chunk at byte {offset}"
    with library_errors(place, code="bad_chunk"):
        _, _, size, crc, name_length = _CHUNK_HEAD.unpack_from(content)
        start = _CHUNK_HEAD.size + name_length
        compression = content[_CHUNK_HEAD.size : start].decode()
        (length,) = struct.unpack_from("<Q", content, start)
        packed = memoryview(content)[start + 8 :]
        if length != len(packed):
            # Bytes after the records are padding; fewer than claimed is damage.
            if length > len(packed):
                raise _bad(f"{len(packed)} bytes of {length}", place)
            packed = packed[:length]
        if size > RECORD_LIMIT:
            raise FormatError(f"claims {size} bytes, more than {RECORD_LIMIT}", where=place, code="too_large")
        data = _unpacked(compression, packed, size, place)
    if len(data) != size:
        raise _bad(f"it holds {len(data)} bytes, not {size} as it says", place)
    if crc and zlib.crc32(data) != crc:
        raise _bad("its checksum is wrong", place)
    return data


def _unpacked(compression: str, packed: memoryview, size: int, place: str) -> bytes:
    if not compression:
        return bytes(packed)
    if compression == "zstd":
        return _unpacked_zstd(packed, size, place)
    if compression == "lz4":
        # lz4 never makes more than 255 bytes of one, so a claim beyond that is refused before memory is taken for it.
        if size > 255 * len(packed) + 64:
            raise _bad(f"it claims {size} bytes from {len(packed)}", place)
        unpacker = lz4.frame.LZ4FrameDecompressor()
        data: bytes = unpacker.decompress(packed, max_length=size + 1)
        if not unpacker.eof and len(data) <= size:
            data += unpacker.decompress(b"", max_length=1)
        return data
    raise FormatError(
        f"is compressed with {compression[:40]!r}, known are zstd and lz4", where=place, code="unsupported_compression"
    )


def _unpacked_zstd(packed: memoryview, size: int, place: str) -> bytes:
    stated = zstandard.frame_content_size(packed)
    if stated >= 0:
        if stated != size:
            raise _bad(f"it holds {stated} bytes, not {size} as it says", place)
        # A frame states its size, so this much is taken at once; RLE blocks could make it of almost nothing.
        return zstandard.ZstdDecompressor().decompress(packed, max_output_size=size)
    pieces, total = [], 0
    with zstandard.ZstdDecompressor().stream_reader(packed) as reader:
        while total <= size and (piece := reader.read(_STEP)):
            pieces.append(piece)
            total += len(piece)
    return b"".join(pieces)


def _bad(what: str, place: str) -> FormatError:
    return FormatError(f"the chunk is damaged: {what}", where=place, hint="Copy the file again", code="bad_chunk")
