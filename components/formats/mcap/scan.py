"""One pass over a file that counts: topics, log times, chunks and metadata, and no message is kept or decoded."""

from __future__ import annotations

from array import array
from pathlib import Path

from mcap.records import Header

from components.core.errors import FormatError
from components.formats.mcap.contents import ChunkRef, Contents
from components.formats.mcap.records import Attachment, Block, is_cut, read_records
from components.formats.mcap.topics import Channels

_FOREVER_NS = (1 << 64) - 1


def scan(path: Path, *, where: str, pass_over: bool = False) -> Contents:
    """Contents with the log times of every topic, sorted. `pass_over`: damaged chunks are noted instead of raised.

    Raises `FormatError` (truncated, bad_magic, bad_record, bad_chunk, bad_crc, too_large), with how much could be read.
    """
    contents = Contents(path, Channels(where))
    try:
        _fill(contents, where, pass_over)
    except FormatError as error:
        raise FormatError(
            f"{error.message}; before that are {_count(contents)} whole messages",
            where=error.where,
            hint=error.hint,
            code=error.code,
        ) from error
    for topic, times in contents.log_ns.items():
        contents.log_ns[topic] = array("Q", sorted(times))
    return contents


def require_whole(path: Path, *, where: str) -> None:
    """Raises `FormatError` (truncated) for a file that was cut, with how many of its messages could be read."""
    if not is_cut(path, where=where):
        return
    contents, reason = Contents(path, Channels(where)), None
    try:
        _fill(contents, where, pass_over=False)
    except FormatError as error:
        reason = error
    size = path.stat().st_size
    raise FormatError(
        f"the file ends too early, after {size} bytes; before that are {_count(contents)} whole messages",
        where=where,
        hint="Copy it again, or let `mcap recover` write what is left of it",
        code="truncated",
    ) from reason


def _count(contents: Contents) -> int:
    return sum(contents.counts.values())


def _fill(contents: Contents, where: str, pass_over: bool) -> None:
    damaged: list[tuple[int, int, int]] = []

    def note(error: FormatError, offset: int, start_ns: int, end_ns: int) -> None:
        contents.damage.append(error)
        damaged.append((offset, start_ns, end_ns))

    for item in read_records(contents.path, where=where, on_bad_chunk=note if pass_over else None):
        if isinstance(item, Block):
            _add_block(contents, item)
        elif isinstance(item, Attachment):
            contents.attachments.append(item.name)
        elif isinstance(item, Header):
            contents.profile = item.profile
        else:
            contents.metadata.append((item.name, item.metadata))
    _place_damaged(contents, damaged)


def _add_block(contents: Contents, block: Block) -> None:
    low, high, sources = -1, 0, set()
    for message in contents.channels.messages(block):
        topic, log_ns = message.source.topic, message.log_ns
        contents.counts[topic] += 1
        contents.log_ns.setdefault(topic, array("Q")).append(log_ns)
        sources.add(message.source)
        low, high = log_ns if low < 0 else min(low, log_ns), max(high, log_ns)
    if low < 0:
        return
    contents.start_ns = low if contents.start_ns is None else min(contents.start_ns, low)
    contents.end_ns = max(contents.end_ns, high)
    if block.chunk < 0:
        contents.plain = True
    else:
        numbers = frozenset(number for number, source in contents.channels.sources.items() if source in sources)
        contents.chunks.append(ChunkRef(block.chunk, low, high, numbers))


def _place_damaged(contents: Contents, damaged: list[tuple[int, int, int]]) -> None:
    """A damaged chunk covers the time that it claims, where that lies between its neighbours; else all between them.

    So whoever reads a span that it belongs to is told, and nobody else is.
    """
    whole = list(contents.chunks)
    for offset, start_ns, end_ns in damaged:
        before = max((ref.end_ns for ref in whole if ref.offset < offset), default=0)
        after = min((ref.start_ns for ref in whole if ref.offset > offset), default=_FOREVER_NS)
        if not before <= start_ns <= end_ns <= after or not end_ns:
            start_ns, end_ns = min(before, after), max(before, after)
        contents.chunks.append(ChunkRef(offset, start_ns, end_ns, None))
    contents.chunks.sort(key=lambda ref: ref.offset)
