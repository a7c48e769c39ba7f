"""Keeps a folder of caches within its bound: what killed builds left goes first, then the entries used longest ago."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from components.core.errors import DatasetError

# In every entry; its time is that of the last use, and readers hold a shared lock on it.
MARK = "cache.json"


def key_lock(root: Path, key: str, timeout_s: float = -1) -> FileLock:
    """Held by the one process that builds or opens an entry."""
    return FileLock(root / f".{key}.lock", timeout=timeout_s)


@dataclass(frozen=True)
class Room:
    """`limit_bytes`: what all entries in `root` may take together; `reserve_bytes`: what is left free on the disk."""

    root: Path
    limit_bytes: int
    reserve_bytes: int

    def largest_bytes(self) -> int:
        """What a new entry may take if all others go that nobody reads."""
        removable = sum(_size(entry) for entry in self._entries() if not _is_read(entry))
        return min(self.limit_bytes - self._used() + removable, self._free() + removable)

    def make(self, needed: int, key: str) -> None:
        """Removes entries until `needed` bytes fit, for entry `key`. Raises `DatasetError` where they do not."""
        self._remove_left(but=key)
        for entry in [*self._entries(), None]:
            used, free = self._used(), self._free()
            if used + needed <= self.limit_bytes and needed <= free:
                return
            if entry is not None:
                _remove_unread(entry)
        raise DatasetError(
            f"a cache of {needed / 1e9:.3g} GB does not fit: {used / 1e9:.3g} GB of {self.limit_bytes / 1e9:.3g} GB are"
            f" in use, the disk has {max(0, free) / 1e9:.3g} GB left beyond its reserve",
            where=str(self.root),
            hint="Raise the bound, free the disk, choose fewer episodes, or decode video",
        )

    def _entries(self) -> list[Path]:
        """Whole entries, that used longest ago first."""
        return sorted((mark.parent for mark in self.root.glob(f"[!.]*/{MARK}")), key=_last_use_ns)

    def _used(self) -> int:
        """Bytes of all entries, those half-built included."""
        return sum(_size(folder) for folder in self.root.iterdir() if folder.is_dir()) if self.root.is_dir() else 0

    def _free(self) -> int:
        folder = self.root
        while not folder.is_dir():
            folder = folder.parent
        return shutil.disk_usage(folder).free - self.reserve_bytes

    def _remove_left(self, but: str) -> None:
        """Removes half-built entries whose builder is gone."""
        for partial in self.root.glob(".*.partial-*"):
            key = partial.name[1:].split(".partial-")[0]
            if key == but:
                continue
            try:
                with key_lock(self.root, key, timeout_s=0):
                    shutil.rmtree(partial, ignore_errors=True)
            except Timeout:
                pass  # its builder is at work


def _remove_unread(entry: Path) -> None:
    """Removes an entry unless somebody reads it; whoever is about to open it finds it gone.

    Killed in between, it leaves a half-built entry, never half of a whole one.
    """
    with _unread(entry) as unread:
        if unread:
            away = entry.with_name(f".{entry.name}.partial-{os.getpid()}")
            entry.rename(away)
            shutil.rmtree(away, ignore_errors=True)


def _is_read(entry: Path) -> bool:
    with _unread(entry) as unread:
        return not unread


@contextmanager
def _unread(entry: Path) -> Iterator[bool]:
    """Whether nobody reads an entry; then nobody can begin to while the block runs."""
    try:
        mark = (entry / MARK).open("rb")
    except FileNotFoundError:
        yield False
        return
    with mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _last_use_ns(entry: Path) -> int:
    try:
        return (entry / MARK).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
