"""Pools ahead of their use: while one is served, threads fill the next. Never more than two."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Protocol

import numpy as np
import numpy.typing as npt

from components.dataset.loading.columns import Columns
from components.dataset.loading.mixture import PoolOrder, PoolPlan
from components.dataset.loading.pool import Pool


class PictureSource(Protocol):
    """Where pictures and numbers come from: video, memory or a cache on disk. The same bytes from each."""

    def columns(self, row: int) -> Columns: ...

    def jobs(self, pool: Pool) -> list[Callable[[], None]]: ...

    def take(self, pool: Pool, slots: npt.NDArray[np.int64], out: npt.NDArray[np.uint8]) -> None: ...

    def release(self, pool: Pool) -> None: ...

    def close(self) -> None: ...


class Prefetcher:
    """Fills pools by `threads` threads; for one caller at a time."""

    def __init__(self, plan: PoolPlan, source: PictureSource, build: Callable[[PoolOrder], Pool], threads: int) -> None:
        self._plan, self._source, self._build = plan, source, build
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="loader")
        self._filling: list[tuple[Pool, list[Future[None]]]] = []

    def pool_at(self, position: int) -> Pool:
        """The pool of the window at `position`, filled; the one after it is then being filled.

        Positions that grow cost nothing beyond the filling; any other one throws away what was read ahead. Raises what
        went wrong in a thread.
        """
        while self._filling and not _holds(self._filling[0][0], position):
            self._drop()
        if not self._filling:
            self._start(position)
        pool, jobs = self._filling[0]
        if len(self._filling) == 1:
            self._start(pool.order.stop)
        try:
            for job in jobs:
                job.result()
        except BaseException:
            self._drop_all()
            raise
        return pool

    def close(self) -> None:
        """Ends the threads."""
        self._drop_all()
        self._executor.shutdown()

    def _start(self, position: int) -> None:
        pool = self._build(self._plan.pool_at(position))
        jobs = [self._executor.submit(job) for job in self._source.jobs(pool)]
        self._filling.append((pool, jobs))

    def _drop_all(self) -> None:
        while self._filling:
            self._drop()

    def _drop(self) -> None:
        pool, jobs = self._filling.pop(0)
        for job in jobs:
            job.cancel()
        wait(jobs)
        self._source.release(pool)


def _holds(pool: Pool, position: int) -> bool:
    return pool.order.start <= position < pool.order.stop
