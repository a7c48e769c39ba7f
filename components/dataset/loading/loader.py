"""Batches of training windows out of any number of datasets, in an order that only seed, rank and position decide."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import numpy as np

from components.core.errors import DatasetError, ParamsError, UsageError
from components.dataset.loading.choose import Choice
from components.dataset.loading.episodes import EpisodeList, episodes_sha256
from components.dataset.loading.mixture import EpochPools, MixedPools, PoolOrder, PoolPlan, checked_weights
from components.dataset.loading.order import RunOrder
from components.dataset.loading.pool import Batch, Pool, empty_batch
from components.dataset.loading.prefetch import PictureSource, Prefetcher
from components.dataset.loading.settings import LoaderSettings
from components.dataset.loading.shapes import Shapes
from components.dataset.loading.video_source import VideoSource
from components.dataset.parts import Part

log = logging.getLogger(__name__)


class Loader:
    """One window per frame of the parts' episodes; `len` counts them. Torch is not needed.

    Without `weights` all windows of all parts are one epoch: each comes once over all ranks, then the next epoch begins
    without a seam. With one weight a part, parts are mixed by weight and each has endless epochs of its own. Without
    `shuffle` the windows come as they lie: by part, episode_id and time. `choice` says where pictures come from, the
    same from each (see `choose`): without it video is decoded.

    `cameras`, `instructions`: what the places in a batch mean; `episodes`: the rows that `batch` names.

    Example:
        with Loader(parts_of(path), LoaderSettings(chunk=50), seed=1) as loader:
            for batch in loader.batches(start=0, batch_size=32):
                ...
    """

    def __init__(
        self,
        parts: Sequence[Part],
        settings: LoaderSettings,
        *,
        seed: int,
        rank: int = 0,
        world: int = 1,
        weights: Sequence[float] | None = None,
        shuffle: bool = True,
        choice: Choice | None = None,
        progress: bool = False,
    ) -> None:
        if seed < 0 or not 0 <= rank < world:
            raise ParamsError(f"loader: seed {seed}, rank {rank} of {world}", hint="Count from 0; rank is below world")
        self.settings, self.position = settings, 0
        self.episodes = EpisodeList(parts)
        self._shapes = Shapes(parts)
        self._row: dict[str, Any] = {"seed": seed, "rank": rank, "world": world, "shuffle": shuffle}
        self._row |= {"weights": None if weights is None else [float(weight) for weight in weights]}
        plan = self._plan(seed, rank, world, weights, shuffle)
        self._source = self._open(choice, progress)
        self._prefetcher = Prefetcher(plan, self._source, self._pool, settings.threads)
        self._lock, self._closed = threading.Lock(), False

    def __len__(self) -> int:
        return self.episodes.frames

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the pictures of a batch, in its order."""
        return self._shapes.cameras

    @property
    def instructions(self) -> tuple[str, ...]:
        """Distinct instructions of all episodes, sorted."""
        return self.episodes.instructions

    def batch(self, position: int, size: int) -> Batch:
        """The windows at `position` to `position + size` of the row that this rank sees [B].

        images uint8 [B, K, H, W, 3] by `cameras`; state float32 [B, S]; with a history of O > 1 both are [B, O, ...],
        the oldest first. actions float32 [B, chunk, A] from the frame on, the last of the episode repeated past its
        end; actions_is_pad bool [B, chunk], true there. history_is_pad bool [B, O], true where the first frame stands
        in for one before the start. int64 [B]: instruction, index into `instructions`; episode, row of `episodes`;
        frame, in the episode; source, index of the part. image_mask bool [B, K], state_mask [B, S], action_mask
        [B, A]: what the robot has; the rest is 0.

        The arrays belong to the caller. Going on where the last call ended is fast; any position is right.
        """
        if position < 0 or size < 1:
            raise UsageError(
                f"a batch of {size} windows from position {position}", hint="Count from 0; take at least 1"
            )
        out = empty_batch(size, self._shapes, self.settings)
        with self._in_use():
            done = 0
            while done < size:
                pool = self._prefetcher.pool_at(position + done)
                first = position + done - pool.order.start
                count = min(size - done, pool.order.size - first)
                self._read(pool, first, count, out, done)
                done += count
            self.position = position + size
        return out

    def batches(self, start: int, batch_size: int) -> Iterator[Batch]:
        """Batches without end; the first begins at position `start`, the number of windows seen before."""
        while True:
            yield self.batch(start, batch_size)
            start += batch_size

    def sample(self, window: int) -> Batch:
        """The window of this number, 0 to `len(loader) - 1` as they lie: what `batch` holds, without the first axis."""
        if not 0 <= window < len(self):
            raise UsageError(f"no window {window}; there are {len(self)}")
        one = np.ones(1, np.int64)
        out = empty_batch(1, self._shapes, self.settings)
        with self._in_use():
            pool = self._pool(PoolOrder(0, 1, window * one, one, None))
            jobs = self._source.jobs(pool)
            try:
                for job in jobs:
                    job()
                self._read(pool, 0, 1, out, 0)
            finally:
                self._source.release(pool)
        return {name: values[0] for name, values in out.items()}

    def state(self) -> dict[str, Any]:
        """What to keep in a checkpoint: where the row stands, and which row it is."""
        return {"position": self.position, **self._row_of_windows}

    def restore(self, state: dict[str, Any]) -> int:
        """The position to go on from. Raises `DatasetError` where `state` is of another row of windows."""
        for name, value in self._row_of_windows.items():
            if state.get(name) != value:
                raise DatasetError(
                    f"the checkpoint stands in another row of windows: {name} is {value}, it was {state.get(name)}",
                    hint="Go on with the same datasets, weights, seed, ranks and loader settings, or start afresh",
                )
        self.position = int(state["position"])
        return self.position

    def close(self) -> None:
        """Ends the threads and closes the files."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._prefetcher.close()
                self._source.close()

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        """One caller at a time, until it is closed."""
        with self._lock:
            if self._closed:
                raise UsageError("the loader is closed", hint="Make a new one")
            yield

    def _open(self, choice: Choice | None, progress: bool) -> PictureSource:
        if choice is None:
            return VideoSource(self.episodes, self._shapes)
        log.debug(choice.reason)
        return choice.open(self.episodes, self._shapes, self.settings.threads, progress=progress)

    def _plan(self, seed: int, rank: int, world: int, weights: Sequence[float] | None, shuffle: bool) -> PoolPlan:
        settings = self.settings
        if weights is None:
            order = RunOrder(len(self), settings.run_frames, (seed,), rank=rank, world=world, shuffle=shuffle)
            return EpochPools(order, settings.runs_per_pool, (seed, rank), shuffle=shuffle)
        if not shuffle:
            raise UsageError("weights without shuffle", hint="Windows that come as they lie have no weights")
        orders = [
            RunOrder(frames, settings.run_frames, (seed, number), rank=rank, world=world)
            for number, frames in enumerate(self.episodes.part_frames)
        ]
        checked = checked_weights(self.episodes.parts, weights)
        return MixedPools(orders, checked, settings.pool_windows, (seed, rank))

    @cached_property
    def _row_of_windows(self) -> dict[str, Any]:
        """All that decides which window comes where."""
        settings = {name: getattr(self.settings, name) for name in ("run_frames", "pool_windows")}
        return {**self._row, **settings, "episodes": [episodes_sha256(part) for part in self.episodes.parts]}

    def _pool(self, order: PoolOrder) -> Pool:
        return Pool(order, self.episodes, self._shapes, self.settings)

    def _read(self, pool: Pool, first: int, count: int, out: Batch, at: int) -> None:
        pool.read(
            first, first + count, out, slice(at, at + count), lambda slots, to: self._source.take(pool, slots, to)
        )
