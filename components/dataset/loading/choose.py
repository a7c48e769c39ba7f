"""From where a training reads its frames: video, memory, or a cache on disk."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from components.dataset.loading.cache import CacheFolder
from components.dataset.loading.cache_room import NotKept
from components.dataset.loading.decoded import DecodedSource, decode_in_memory, decoded_bytes
from components.dataset.loading.episodes import EpisodeList
from components.dataset.loading.prefetch import PictureSource
from components.dataset.loading.shapes import Shapes
from components.dataset.loading.video_source import VideoSource
from components.dataset.parts import Part

log = logging.getLogger(__name__)

# CPU seconds a byte of pictures, as tests/bench/loader.py measures them on its drawn scenes: H.264 decoded and
# converted, decoded frames written to a file, decoded frames copied into a batch.
DECODE_S_PER_BYTE = 6.1e-9
STORE_S_PER_BYTE = 1.7e-9
COPY_S_PER_BYTE = 0.07e-9


@dataclass(frozen=True)
class Choice:
    """`kind` of source, why, and the bytes that all decoded frames take; `folder` where they are kept on disk.

    `built`: whether the entries of the folder are there and held; one that has gone nevertheless is not built again.
    """

    kind: Literal["video", "memory", "cache"]
    reason: str
    bytes_needed: int
    folder: CacheFolder | None = None
    built: bool = False

    def build(self, parts: Sequence[Part], threads: int, *, progress: bool = False) -> Choice:
        """The same with the entries of its folder built, and held while this choice is there; others can open them.

        Where there is no room for them after all it is video, and a warning says so.
        """
        if self.folder is None:
            return self
        folder = self.folder.another()
        try:
            folder.open_all(parts, threads, progress=progress)
        except NotKept as error:
            folder.close()
            return Choice("video", _without_cache(error), self.bytes_needed)
        return replace(self, folder=folder, built=True)

    def open(self, episodes: EpisodeList, shapes: Shapes, threads: int, *, progress: bool = False) -> PictureSource:
        """The source; decodes the parts first where frames are kept. Video where an entry has gone or has no room."""
        if self.kind == "video":
            return VideoSource(episodes, shapes)
        if self.folder is None:
            parts = [decode_in_memory(part, threads, progress=progress) for part in episodes.parts]
            return DecodedSource(episodes, shapes, parts)
        folder = self.folder.another()
        try:
            parts = folder.open_all(episodes.parts, threads, build=not self.built, progress=progress)
        except NotKept as error:
            folder.close()
            _without_cache(error)
            return VideoSource(episodes, shapes)
        return DecodedSource(episodes, shapes, parts, folder.close)


def choose(
    parts: Sequence[Part], cache_dir: Path | None, *, limit_bytes: int, epochs: float, memory_bytes: int = 0
) -> Choice:
    """The cheapest source for `epochs` passes over the parts, in CPU time.

    A cache that is there already is taken. Otherwise frames are kept, in memory where `memory_bytes` allow it, else in
    `cache_dir` within `limit_bytes`, if the passes to come pay for it. `memory_bytes` are those of each process.
    """
    needed = sum(decoded_bytes(part) for part in parts)
    size = _gb(needed)
    folder = None if cache_dir is None else CacheFolder(cache_dir, limit_bytes)
    if folder is not None and all(folder.has(part) for part in parts):
        return Choice("cache", f"reads from the cache: {size}, there already", needed, folder)
    video = epochs * needed * DECODE_S_PER_BYTE
    kept = needed * (DECODE_S_PER_BYTE + STORE_S_PER_BYTE) + epochs * needed * COPY_S_PER_BYTE
    passes = f"{epochs:.3g} epochs to come"
    if video <= kept:
        return Choice("video", f"decodes video: {passes} cost less than to keep {size}", needed)
    if needed <= memory_bytes:
        return Choice("memory", f"keeps {size} in memory: {passes}", needed)
    if folder is None:
        return Choice("video", f"decodes video: {size} would not fit {_gb(memory_bytes)} of memory, no cache", needed)
    missing, room = folder.missing_bytes(parts), folder.room_bytes(parts)
    if missing > room:
        bound = "bound" if missing > limit_bytes else "that are free"
        limit = limit_bytes if missing > limit_bytes else max(0, room)
        return Choice("video", f"decodes video: {size} would not fit the {_gb(limit)} {bound}", needed)
    return Choice("cache", f"builds a cache of {size}: {passes}", needed, folder)


def _without_cache(error: NotKept) -> str:
    reason = f"decodes video instead of reading the cache: {error.message}"
    log.warning(reason)
    return reason


def _gb(count: int) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1e3:.3g} kB"
