"""Contents of a file from its summary where that can be trusted, else from a scan."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from components.formats.mcap.contents import Contents
from components.formats.mcap.scan import require_whole, scan
from components.formats.mcap.summary import read_summary


def contents_of(path: Path, *, where: str) -> Contents:
    """Raises `FormatError` for what makes a file unreadable as a whole (truncated, bad_magic, bad_record, bad_crc)."""
    status = path.stat()
    return _contents(path, where, status.st_size, status.st_mtime_ns)


# Every span of a long recording asks for the same; the size and time of the file tell whether it is the same.
@lru_cache(maxsize=16)
def _contents(path: Path, where: str, size: int, mtime_ns: int) -> Contents:
    require_whole(path, where=where)
    return read_summary(path, where=where) or scan(path, where=where, pass_over=True)
