"""Worker processes that never change a result: what goes in first comes out first, whoever is done first."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from types import TracebackType
from typing import TypeVar

from components.core.errors import StageFailed

Item = TypeVar("Item")
Result = TypeVar("Result")

# Results that may wait per worker: enough to keep all busy, and a bound on memory.
_AHEAD = 3


class Workers:
    """`count` processes; with one, everything runs in this process."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
        if self._count > 1:
            # Spawned, not forked: video, HDF5 and Arrow libraries hold threads and locks that a fork would break.
            self._pool = ProcessPoolExecutor(
                self._count, mp_context=get_context("spawn"), initializer=_follow, initargs=(os.getpid(),)
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Results in the order of `items`, which are drawn only a little ahead of what is taken.

        Raises what `work` raises, and `StageFailed` where a process died.
        """
        if self._pool is None:
            yield from map(work, items)
            return
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(self._pool.submit(work, item))
                if len(waiting) >= self._count * _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise StageFailed(
                "a worker process died", hint="If memory ran out, try again with GRIPLINE_WORKERS=1"
            ) from error


def _follow(parent: int) -> None:
    """A worker leaves the interrupt to its parent, and ends when the parent is gone (killed, it cannot say so)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
