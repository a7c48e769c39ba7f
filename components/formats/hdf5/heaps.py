"""Finds damaged heaps of variable-length values, on which the HDF5 library would spin for ever.

Layout: HDF5 File Format Specification, III.E (Disk Format: Level 1E - Global Heap). The library steps through the
objects of a collection by their sizes, and stays where it is at a free object of size zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from components.core.errors import FormatError

# Signature, version and reserved bytes.
_COLLECTION = b"GCOL\x01\x00\x00\x00"
_HEADER = 16
_BLOCK = 1 << 20
# Reading more to protect from a rare damage is not worth it; there the limit of CPU time of a worker ends the spin.
_MOST_SEARCHED = 1 << 28
_MOST_COLLECTION = 1 << 26


def require_sound_heaps(path: Path, *, where: str) -> None:
    """That no collection in a file makes the library spin. Raises `FormatError` (bad_heap, unreadable)."""
    try:
        if path.stat().st_size > _MOST_SEARCHED:
            return
        with path.open("rb") as file:
            for place in list(_collections(file)):
                if _spins(file, place):
                    what = f"the heap of texts at byte {place} is damaged"
                    raise FormatError(what, where=where, hint="Copy it again", code="bad_heap")
    except OSError as error:
        raise FormatError(f"cannot be opened ({error.strerror})", where=where, code="unreadable") from error


def _collections(file: BinaryIO) -> Iterator[int]:
    """Places of the signature."""
    start, tail = 0, b""
    while block := file.read(_BLOCK):
        joined = tail + block
        found = joined.find(_COLLECTION)
        while found >= 0:
            yield start - len(tail) + found
            found = joined.find(_COLLECTION, found + 1)
        start += len(block)
        tail = joined[-(len(_COLLECTION) - 1) :]


def _spins(file: BinaryIO, place: int) -> bool:
    file.seek(place + 8)
    size = int.from_bytes(file.read(8), "little")
    file.seek(place)
    heap = file.read(min(size, _MOST_COLLECTION))
    # Cut off by the end of the file: the library notices that itself.
    if len(heap) < size:
        return False
    at = _HEADER
    while at + _HEADER <= size:
        index = int.from_bytes(heap[at : at + 2], "little")
        length = int.from_bytes(heap[at + 8 : at + 16], "little")
        step = length if not index else _HEADER + (length + 7) // 8 * 8
        if step % (1 << 64) == 0:
            return True
        if at + step > size:
            return False
        at += step
    return False
