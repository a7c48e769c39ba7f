"""Damaged copies of a file, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

# Lengths that no file of a test has: sign bits, overflows of 32 and 64 bits, and a size that memory cannot hold.
ABSURD = (0, 2**31 - 1, 2**31, 2**32 - 1, 2**60, 2**63 - 1, 2**63, 2**64 - 1)
# Share of the cases that hit the first or the last of these many bytes, where containers keep their structure.
_EDGE_BYTES = 512
_AT_HEAD, _AT_TAIL = 0.35, 0.15
# A little-endian integer not above this share of the file looks like a length of something within it.
_SMALLEST_LENGTH = 2


def mutations(data: bytes, count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """`count` damaged copies of `data` with a name each, which says what was done and where.

    Kinds take turns: flipped bytes, truncation, absurd integers of 4 and 8 bytes in both byte orders at random places
    and over what looks like a length, zeroed ranges, ranges copied over others, and ranges cut out or repeated.
    """
    draw = random.Random(seed)
    lengths = _length_like(data)
    kinds: tuple[Callable[[], tuple[str, bytes]], ...] = (
        lambda: _flip(data, draw),
        lambda: _truncate(data, draw),
        lambda: _absurd(data, draw, _place(data, draw)),
        lambda: _absurd(data, draw, draw.choice(lengths) if lengths else _place(data, draw)),
        lambda: _zero(data, draw),
        lambda: _splice(data, draw),
        lambda: _shift(data, draw),
    )
    for number in range(count):
        name, damaged = kinds[number % len(kinds)]()
        yield f"{number}:{name}", damaged


def _place(data: bytes, draw: random.Random) -> int:
    last = max(len(data) - 1, 0)
    share = draw.random()
    if share < _AT_HEAD:
        return draw.randint(0, min(last, _EDGE_BYTES))
    if share < _AT_HEAD + _AT_TAIL:
        return draw.randint(max(0, last - _EDGE_BYTES), last)
    return draw.randint(0, last)


def _span(data: bytes, draw: random.Random) -> tuple[int, int]:
    """A place and a number of bytes from there, most often few."""
    place = _place(data, draw)
    size = draw.choice((1, 4, 8, 16, 64, 256, 4096))
    return place, min(size, len(data) - place)


def _length_like(data: bytes) -> list[int]:
    """Places of 4- and 8-byte integers in either byte order that could be lengths within the file."""
    found = []
    for place in range(min(len(data), 65536) - 8):
        little, big = data[place : place + 4], data[place : place + 4][::-1]
        for raw in (little, big):
            if _SMALLEST_LENGTH <= int.from_bytes(raw, "little") <= len(data):
                found.append(place)
                break
    return found


def _flip(data: bytes, draw: random.Random) -> tuple[str, bytes]:
    damaged, places = bytearray(data), []
    for _ in range(draw.choice((1, 1, 1, 2, 8))):
        place = _place(data, draw)
        places.append(place)
        if damaged:
            damaged[place] ^= draw.choice((1 << draw.randint(0, 7), draw.randint(1, 255)))
    return f"flip@{','.join(str(place) for place in places)}", bytes(damaged)


def _truncate(data: bytes, draw: random.Random) -> tuple[str, bytes]:
    keep = _place(data, draw)
    return f"truncate@{keep}", data[:keep]


def _absurd(data: bytes, draw: random.Random, place: int) -> tuple[str, bytes]:
    width, order = draw.choice((4, 8)), draw.choice(("little", "big"))
    value = draw.choice(ABSURD) % (1 << (8 * width))
    raw = value.to_bytes(width, "little" if order == "little" else "big")
    return f"absurd@{place}={value}/{width}{order[0]}", data[:place] + raw + data[place + width :]


def _zero(data: bytes, draw: random.Random) -> tuple[str, bytes]:
    place, size = _span(data, draw)
    return f"zero@{place}+{size}", data[:place] + bytes(size) + data[place + size :]


def _splice(data: bytes, draw: random.Random) -> tuple[str, bytes]:
    place, size = _span(data, draw)
    source = draw.randint(0, max(len(data) - size, 0))
    return f"splice@{place}<{source}+{size}", data[:place] + data[source : source + size] + data[place + size :]


def _shift(data: bytes, draw: random.Random) -> tuple[str, bytes]:
    """Everything behind a place moves: bytes are lost, or some appear twice."""
    place, size = _span(data, draw)
    if draw.random() < 0.5:
        return f"cut@{place}+{size}", data[:place] + data[place + size :]
    return f"repeat@{place}+{size}", data[: place + size] + data[place:]
