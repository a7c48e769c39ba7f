"""Statistics of single data files, kept outside of the datasets: after an append only new files are read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.core.errors import DatasetError
from components.core.files import digest_json, sha256_bytes, write_bytes
from components.core.spec import Embodiment
from components.dataset.stats import RunningStats

# Changes with what the statistics mean.
_VERSION = 1
_DIGEST_CHARS = 64


def cache_key(
    file_sha256: str, representation: str, horizon: int, embodiment: Embodiment, places: npt.NDArray[np.int64]
) -> str:
    """Name of the statistics of some episodes of one file: `places` are their first rows and lengths, [E, 2]."""
    chosen = sha256_bytes(np.ascontiguousarray(places, dtype="<i8").tobytes())
    return digest_json([_VERSION, file_sha256, representation, horizon, embodiment.digest, chosen])


class StatisticsCache:
    """A folder of entries that are whole or not there; damaged ones count as not there.

    Holds at most `limit_bytes`: what was not used for the longest time goes first. Several processes may share it.
    """

    def __init__(self, folder: Path, limit_bytes: int = 1 << 30) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes

    def get(self, key: str) -> tuple[RunningStats, ...] | None:
        path = self._path(key)
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        digest, size, body = data[:_DIGEST_CHARS], data[_DIGEST_CHARS : _DIGEST_CHARS + 8], data[_DIGEST_CHARS + 8 :]
        if digest.decode(errors="replace") != sha256_bytes(size + body):
            return None
        text = pa.decompress(body, int.from_bytes(size, "little"), codec="zstd", asbytes=True)
        try:
            return tuple(RunningStats.from_dict(step) for step in json.loads(text))
        except (DatasetError, KeyError, TypeError, ValueError):
            return None

    def put(self, key: str, steps: tuple[RunningStats, ...]) -> None:
        text = json.dumps([step.as_dict() for step in steps], separators=(",", ":")).encode()
        body = len(text).to_bytes(8, "little") + pa.compress(text, codec="zstd", asbytes=True)
        write_bytes(self._path(key), sha256_bytes(body).encode() + body)
        self._trim(key)

    def _trim(self, newest: str) -> None:
        entries = []
        for path in self.folder.glob("*.stats"):
            try:
                entries.append((path.stat().st_mtime_ns, path.stat().st_size, path))
            except FileNotFoundError:
                continue
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self.limit_bytes:
                break
            if path != self._path(newest):
                path.unlink(missing_ok=True)
                total -= size

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.stats"
