"""Keeps a folder of caches within its bound: what killed builds left goes first, then the entries used longest ago."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from components.core.errors import DatasetError

# In every entry, half-built ones too. In a whole one its time is that of the last use, and readers hold a shared lock
# on it.
MARK = "cache.json"


class NotKept(DatasetError):
    """A cache has no such entry and cannot make it; the frames can still be decoded from video."""


def key_lock(root: Path, key: str, timeout_s: float = -1) -> FileLock:
    """Held by the one process that builds or opens an entry."""
    return FileLock(root / f".{key}.lock", timeout=timeout_s)


def folder_lock(root: Path) -> FileLock:
    """Held by the one process that makes room or takes it."""
    return FileLock(root / ".lock")


@dataclass(frozen=True)
class Room:
    """`limit_bytes`: what all entries in `root` may take together; `reserve_bytes`: what is left free on the disk."""

    root: Path
    limit_bytes: int
    reserve_bytes: int

    def largest_bytes(self, keep: Collection[str] = ()) -> int:
        """What new entries may take if all others go that nobody reads, but those called `keep`.

        Removes what killed builds left: nobody can use it.
        """
        if _half_built(self.root):
            with folder_lock(self.root):
                _remove_left(self.root)
        others = {entry for entry in _entries(self.root) if entry.name not in keep and not _is_read(entry)}
        sizes = {folder: _size(folder) for folder in _folders(self.root)}
        removable = sum(size for folder, size in sizes.items() if folder in others)
        return min(self.limit_bytes - sum(sizes.values()), self._free()) + removable

    def make(self, needed: int) -> None:
        """Removes entries until `needed` bytes fit; the caller holds `folder_lock`.

        Raises `NotKept` where they cannot; no entry is then removed.
        """
        _remove_left(self.root)
        used, free = self._used(), self._free()
        lacking, freed = max(used + needed - self.limit_bytes, needed - free), 0
        with ExitStack() as held:
            going = []
            for entry in _entries(self.root):
                if freed < lacking and held.enter_context(_unread(entry)):
                    going.append(entry)
                    freed += _size(entry)
            if freed < lacking:
                raise NotKept(
                    f"a cache of {needed / 1e9:.3g} GB does not fit: {(used - freed) / 1e9:.3g} GB of"
                    f" {self.limit_bytes / 1e9:.3g} GB are in use, the disk has {max(0, free + freed) / 1e9:.3g} GB"
                    " left beyond its reserve",
                    where=str(self.root),
                    hint="Raise the bound, free the disk, choose fewer episodes, or decode video",
                )
            for entry in going:
                _remove(entry)

    def _used(self) -> int:
        """Bytes of all entries, those half-built included."""
        return sum(_size(folder) for folder in _folders(self.root))

    def _free(self) -> int:
        folder = self.root
        while not folder.is_dir():
            folder = folder.parent
        return shutil.disk_usage(folder).free - self.reserve_bytes


def purge(folder: Path, digest: str) -> list[Path]:
    """Removes the entries in `folder` that hold frames of the dataset of this digest.

    Those whose mark says nothing go too. Returns the ones that are still there, because somebody reads or builds them.
    """
    if not folder.is_dir():
        return []
    with folder_lock(folder):
        _remove_left(folder)
        for entry in _entries(folder):
            with _unread(entry) as unread:
                if unread and _may_be_of(entry, digest):
                    _remove(entry)
        return sorted(entry for entry in _folders(folder) if _may_be_of(entry, digest))


def _may_be_of(entry: Path, digest: str) -> bool:
    """Whether an entry, whole or half-built, holds frames of a dataset, as far as its mark tells."""
    try:
        return bool(json.loads((entry / MARK).read_bytes())["dataset"] == digest)
    except FileNotFoundError:
        return False
    except (ValueError, TypeError, KeyError):
        return True


def _folders(root: Path) -> list[Path]:
    """Entries and half-built ones."""
    try:
        return [path for path in root.iterdir() if path.is_dir()]
    except FileNotFoundError:
        return []


def _half_built(root: Path) -> list[Path]:
    return [folder for folder in _folders(root) if folder.name.startswith(".") and ".partial-" in folder.name]


def _entries(root: Path) -> list[Path]:
    """Whole entries, that used longest ago first."""
    whole = [folder for folder in _folders(root) if not folder.name.startswith(".") and (folder / MARK).is_file()]
    return sorted(whole, key=_last_use_ns)


def _remove_left(root: Path) -> None:
    """Removes half-built entries whose builder is gone; the caller holds `folder_lock`, as whoever removes one does."""
    for partial in _half_built(root):
        try:
            with key_lock(root, partial.name[1:].split(".partial-")[0], timeout_s=0):
                shutil.rmtree(partial, ignore_errors=True)
        except Timeout:
            pass  # its builder is at work


def _remove(entry: Path) -> None:
    """Killed in between, it leaves a half-built entry, never half of a whole one."""
    away = entry.with_name(f".{entry.name}.partial-{secrets.token_hex(4)}")
    try:
        entry.rename(away)
    except FileNotFoundError:
        return
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
    """Bytes of its files; 0 for one that another process removes meanwhile."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(place, name).stat().st_size
            except FileNotFoundError:
                continue
    return total
