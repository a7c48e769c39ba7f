"""Decoded frames in files that many processes map at once; a folder of them, bounded.

An entry is whole or absent: it is built under a temporary name and renamed, and each process holds a shared lock on the
entries that it reads, so that none is removed under it. Locks of a killed process are free.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from components.core.errors import DatasetError
from components.core.files import digest_json, replace_dir, write_json
from components.dataset.loading.cache_room import MARK, Room, key_lock
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
    """Entries in `root` that together never take more than `limit_bytes`, nor leave less than `reserve_bytes` free."""

    def __init__(self, root: Path, limit_bytes: int, reserve_bytes: int = RESERVE_BYTES) -> None:
        self.root, self._room = root, Room(root, limit_bytes, reserve_bytes)
        self._held: list[IO[bytes]] = []

    def has(self, part: Part) -> bool:
        """Whether the entry of a part is there."""
        return (self.root / key_of(part) / MARK).is_file()

    def another(self) -> CacheFolder:
        """The same folder for another reader: closing one leaves the entries of the other alone."""
        return CacheFolder(self.root, self._room.limit_bytes, self._room.reserve_bytes)

    def room_bytes(self) -> int:
        """What a new entry may take if all others go that nobody reads."""
        return self._room.largest_bytes()

    def open(self, part: Part, threads: int, *, progress: bool = False) -> Decoded:
        """The entry of a part, built where it is missing.

        A second process that needs the same entry waits until it is built. Raises `DatasetError` where it has no room.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        key = key_of(part)
        with key_lock(self.root, key):
            decoded = self._map(self.root / key, part)
            if decoded is None:
                started = time.monotonic()
                self._build(self.root / key, part, threads, progress)
                seconds, size = time.monotonic() - started, decoded_bytes(part) / 1e9
                log.info("cache of %s: %.3g GB, built in %.0f s", part.name, size, seconds)
                decoded = self._map(self.root / key, part)
        if decoded is None:
            raise DatasetError("changed while it was opened", where=str(self.root / key), hint="Try again")
        return decoded

    def close(self) -> None:
        """Lets the entries be removed by others."""
        while self._held:
            self._held.pop().close()

    def _map(self, entry: Path, part: Part) -> Decoded | None:
        """The arrays of an entry, none where it is not there; the newest use is now."""
        try:
            mark = (entry / MARK).open("rb")
        except FileNotFoundError:
            return None
        # Waits for whoever removes the entry; it is then gone.
        fcntl.flock(mark, fcntl.LOCK_SH)
        arrays = _mapped(entry, part)
        if arrays is None:
            mark.close()
            return None
        os.utime(entry / MARK)
        self._held.append(mark)
        return Decoded(**arrays)

    def _build(self, entry: Path, part: Part, threads: int, progress: bool) -> None:
        with replace_dir(entry) as folder:
            with FileLock(self.root / ".lock"):
                self._room.make(decoded_bytes(part) + 4 * _HEAD_BYTES, entry.name)
                arrays = {name: _create(folder / f"{name}.npy", *how) for name, how in decoded_shapes(part).items()}
            decode_part(part, Decoded(**arrays), threads, progress=progress)
            for name, array in arrays.items():
                array.flush()
                _fsync(folder / f"{name}.npy")
            write_json(folder / MARK, {"dataset": part.dataset.digest, "episodes": len(part)})


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
        raise DatasetError(f"no space for the cache: {error}", where=str(path)) from error
    return array


def _fsync(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
