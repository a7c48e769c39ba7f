"""Pictures decoded from video, pool by pool, straight into the memory that batches are copied from."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from components.core.errors import DatasetError
from components.dataset.loading.columns import Columns, ColumnsCache
from components.dataset.loading.decoder import Decoder
from components.dataset.loading.episodes import EpisodeList
from components.dataset.loading.pool import Pool
from components.dataset.loading.shapes import Shapes


class VideoSource:
    """One decoder a thread; the memory of a pool that is released serves a later one."""

    def __init__(self, episodes: EpisodeList, shapes: Shapes) -> None:
        self._episodes, self._shapes = episodes, shapes
        self._columns = ColumnsCache(episodes)
        self._free: list[npt.NDArray[np.uint8]] = []
        self._images: dict[Pool, npt.NDArray[np.uint8]] = {}
        self._local = threading.local()
        self._decoders: list[Decoder] = []
        self._lock = threading.Lock()

    def columns(self, row: int) -> Columns:
        """State [T, S] and action [T, A] of the episode in this row of the list."""
        return self._columns.columns(row)

    def jobs(self, pool: Pool) -> list[Callable[[], None]]:
        """What has to be done, in any order and by any thread, before `take` may be called."""
        self._images[pool] = self._memory(pool.frames)
        segments, cameras = range(len(pool.row)), range(len(self._shapes.cameras))
        numbers = [partial(pool.fill_numbers, segment, self.columns) for segment in segments]
        return [*numbers, *(partial(self._decode, pool, segment, place) for segment in segments for place in cameras)]

    def take(self, pool: Pool, slots: npt.NDArray[np.int64], out: npt.NDArray[np.uint8]) -> None:
        """Copies the pictures in `slots` [n] into `out` [n, K, H, W, 3]."""
        np.take(self._images[pool], slots, axis=0, out=out, mode="clip")

    def release(self, pool: Pool) -> None:
        """The pool is not needed any more, and none of its jobs runs."""
        self._free.append(self._images.pop(pool))

    def close(self) -> None:
        """Closes the files and lets go of the memory. No job runs any more."""
        for decoder in self._decoders:
            decoder.close()
        self._free.clear()
        self._images.clear()

    def _memory(self, frames: int) -> npt.NDArray[np.uint8]:
        """uint8 [frames or more, K, H, W, 3]."""
        if self._free and len(self._free[-1]) >= frames:
            return self._free.pop()
        self._free.clear()
        # A little more than asked for: pools differ by a run or two. Pages that nobody writes to cost nothing.
        return np.empty((frames + frames // 4, *self._shapes.frame), np.uint8)

    def _decode(self, pool: Pool, segment: int, place: int) -> None:
        """Frames of one segment and camera; black where the robot has no such camera."""
        row, first, slot, count = (int(of[segment]) for of in (pool.row, pool.first, pool.slots, pool.count))
        out = self._images[pool][slot : slot + count, place]
        dataset, index = self._episodes.part_of(row).dataset, int(self._episodes.index[row])
        camera = self._shapes.cameras[place]
        if camera not in dataset.cameras:
            out[:] = 0
            return
        path, start, _ = dataset.video_place(index, camera)
        try:
            self._decoder().decode(path, start + first, dataset.fps, out)
        except DatasetError as error:
            raise DatasetError(
                f"episode {index}, camera {camera!r}: {error.message}", where=error.where, hint=error.hint
            ) from error

    def _decoder(self) -> Decoder:
        """The decoder of this thread."""
        decoder: Decoder | None = getattr(self._local, "decoder", None)
        if decoder is None:
            decoder = self._local.decoder = Decoder()
            with self._lock:
                self._decoders.append(decoder)
        return decoder
