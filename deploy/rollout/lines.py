"""Logs of JSON lines that survive a killed writer: a torn last line is dropped by readers and by the next writer."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from components.core.errors import RecordError
from components.core.files import fsync

_TAIL = 1 << 16


def append(path: Path, value: dict[str, Any], *, sync: bool = True) -> None:
    """Adds one line under an exclusive lock; `sync=False` leaves fsync to a later `append` or `flush`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(value, sort_keys=True, allow_nan=False).encode() + b"\n"
    is_new = not path.exists()
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        _drop_torn_tail(handle)
        written = os.write(handle, line)
        if written != len(line):
            raise OSError(f"wrote {written} of {len(line)} bytes to {path}")
        if sync:
            os.fsync(handle)
        if is_new:
            fsync(path.parent)
    finally:
        os.close(handle)


def flush(path: Path) -> None:
    """Makes every line so far durable."""
    fsync(path)


def read(path: Path) -> list[dict[str, Any]]:
    """Every whole line, oldest first. Raises `RecordError` for a damaged line that is not the torn last one."""
    if not path.exists():
        return []
    whole, _, _torn = path.read_bytes().rpartition(b"\n")
    values = []
    for number, line in enumerate(whole.split(b"\n") if whole else [], start=1):
        try:
            values.append(json.loads(line))
        except ValueError as error:
            raise RecordError(f"line {number} is damaged: {error}", where=str(path)) from error
    return values


def _drop_torn_tail(handle: int) -> None:
    size = os.fstat(handle).st_size
    if size == 0 or os.pread(handle, 1, size - 1) == b"\n":
        return
    end = size
    while end > 0:
        start = max(0, end - _TAIL)
        found = os.pread(handle, end - start, start).rfind(b"\n")
        if found >= 0:
            os.ftruncate(handle, start + found + 1)
            return
        end = start
    os.ftruncate(handle, 0)
