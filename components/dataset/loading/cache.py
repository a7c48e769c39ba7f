"""Decoded frames in files that many processes map at once; a folder of them, bounded.

An entry is whole or absent: it is built under a temporary name and renamed, and each process holds a shared lock on the
entries that it reads, so that none is removed under it. Locks of a killed process are free.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.files import digest_json, fsync, replace_dir, write_json
from components.dataset.loading.cache_room import MARK, NotKept, Room, folder_lock, key_lock
from components.dataset.loading.decoded import Decoded, decode_part, decoded_bytes, decoded_shapes
from components.dataset.loading.episodes import episodes_sha256
from components.dataset.parts import Part

log = logging.getLogger(__name__)

# Left free on the disk whatever the bound.
RESERVE_BYTES = 1 << 30
# Of a file of an array: what comes before its numbers; and of a small file.
_HEAD_BYTES = 4096
_VERSION = 1


class CacheFolder:
    """Entries in `root` that together never take more than `limit_bytes`, nor leave less than `reserve_bytes` free.

    Nobody removes the entries that were opened until `close`, or until this object and all processes forked meanwhile
    are gone.
    """

    def __init__(self, root: Path, limit_bytes: int, reserve_bytes: int = RESERVE_BYTES) -> None:
        self.root, self._room = root, Room(root, limit_bytes, reserve_bytes)
        # Open files of marks, each with a shared lock.
        self._held: list[int] = []
        weakref.finalize(self, _release, self._held)

    def has(self, part: Part) -> bool:
        """Whether the entry of a part is there."""
        return (self.root / key_of(part) / MARK).is_file()

    def another(self) -> CacheFolder:
        """The same folder for another reader: closing one leaves the entries of the other alone."""
        return CacheFolder(self.root, self._room.limit_bytes, self._room.reserve_bytes)

    def missing_bytes(self, parts: Sequence[Part]) -> int:
        """What the entries take that would have to be built."""
        return sum({key_of(part): entry_bytes(part) for part in parts if not self.has(part)}.values())

    def room_bytes(self, parts: Sequence[Part]) -> int:
        """What new entries may take if all others go that nobody reads, but those of `parts`."""
        return self._room.largest_bytes({key_of(part) for part in parts})

    def open_all(
        self, parts: Sequence[Part], threads: int, *, build: bool = True, progress: bool = False
    ) -> list[Decoded]:
        """The entries of some parts; those that are there are opened first, so that none has to go for another.

        Raises as `open` does.
        """
        there = {place: self.has(part) for place, part in enumerate(parts)}
        places = sorted(there, key=lambda place: not there[place])
        opened = {place: self.open(parts[place], threads, build=build, progress=progress) for place in places}
        return [opened[place] for place in there]

    def open(self, part: Part, threads: int, *, build: bool = True, progress: bool = False) -> Decoded:
        """The entry of a part, built where it is missing unless `build` is false.

        A second process that needs the same entry waits until it is built. Raises `NotKept` where it is missing and is
        not built, or has no room, and `DatasetError` where the dataset is damaged.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        key = key_of(part)
        with key_lock(self.root, key):
            decoded = self._map(self.root / key, part)
            if decoded is None and build:
                started = time.monotonic()
                self._build(self.root / key, part, threads, progress)
                seconds, size = time.monotonic() - started, decoded_bytes(part) / 1e9
                log.info("cache of %s: %.3g GB, built in %.0f s", part.name, size, seconds)
                decoded = self._map(self.root / key, part)
        if decoded is None:
            raise NotKept("the entry has gone", where=str(self.root / key), hint="Try again, or decode video")
        return decoded

    def close(self) -> None:
        """Lets the entries be removed by others."""
        _release(self._held)

    def _map(self, entry: Path, part: Part) -> Decoded | None:
        """The arrays of an entry, none where it is not there; the newest use is now."""
        try:
            mark = os.open(entry / MARK, os.O_RDONLY)
        except FileNotFoundError:
            return None
        held = [mark]
        try:
            # Waits for whoever removes the entry; it is then gone.
            fcntl.flock(mark, fcntl.LOCK_SH)
            arrays = _mapped(entry, part)
            if arrays is None:
                return None
            # By the clock: what the file system takes as now stands still for milliseconds, and two uses would tie.
            now_ns = time.time_ns()
            os.utime(mark, ns=(now_ns, now_ns))
            self._held.append(held.pop())
            return Decoded(**arrays)
        finally:
            _release(held)

    def _build(self, entry: Path, part: Part, threads: int, progress: bool) -> None:
        with replace_dir(entry) as folder:
            with folder_lock(self.root):
                self._room.make(entry_bytes(part))
                # Half-built entries say whose frames they hold, too.
                write_json(folder / MARK, {"dataset": part.dataset.digest, "episodes": len(part)})
                arrays = {name: _create(folder / f"{name}.npy", *how) for name, how in decoded_shapes(part).items()}
            decode_part(part, Decoded(**arrays), threads, progress=progress)
            for name, array in arrays.items():
                array.flush()
                fsync(folder / f"{name}.npy")


def entry_bytes(part: Part) -> int:
    """What the entry of a part takes on disk, at most."""
    return decoded_bytes(part) + (len(decoded_shapes(part)) + 1) * _HEAD_BYTES


def key_of(part: Part) -> str:
    """Name of the entry: the same for the same frames in the same order."""
    seen = part.dataset.embodiment.observation
    value = {"version": _VERSION, "dataset": part.dataset.digest, "episodes": episodes_sha256(part)}
    return digest_json(value | {"cameras": seen.cameras, "image_px": seen.image_px})[:32]


def _mapped(entry: Path, part: Part) -> dict[str, npt.NDArray[Any]] | None:
    """The arrays of an entry; none where they are not what this part needs."""
    arrays = {}
    for name, (shape, kind) in decoded_shapes(part).items():
        try:
            array = np.load(entry / f"{name}.npy", mmap_mode="r")
        except (OSError, ValueError):
            return None
        if array.shape != shape or array.dtype != kind:
            return None
        # A plain array over the mapped file: a `memmap` costs more at every index.
        arrays[name] = array.view(np.ndarray)
    return arrays


def _create(path: Path, shape: tuple[int, ...], kind: type[np.generic]) -> np.memmap:
    """An array in a new file whose space on disk is taken already."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape)
    try:
        with path.open("rb+") as stream:
            os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)
    except OSError as error:
        raise NotKept(f"no space for the cache: {error}", where=str(path)) from error
    return array


def _release(held: list[int]) -> None:
    while held:
        os.close(held.pop())
