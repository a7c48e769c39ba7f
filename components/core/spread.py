"""The same work on many items, spread over processes that end with this one."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack
from typing import Any, TypeVar

from components.core.children import die_with_parent
from components.core.errors import StageFailed

State = TypeVar("State")
Item = TypeVar("Item")
Result = TypeVar("Result")


def spread(
    work: Callable[[State, Item], Result],
    items: Sequence[Item],
    setup: Callable[[], AbstractContextManager[State]],
    *,
    processes: int,
    name: str,
    chunk: int = 0,
) -> Iterator[Result]:
    """`work(state, item)` for every item, with one state from `setup` per process; 1 process is this one.

    Results come as they are done; with `chunk`, in the order of the items, that many of which go to a process at once.
    Raises what the work raises, and `StageFailed` where a process is killed; `name` says what it was for.
    """
    if processes <= 1:
        with setup() as state:
            yield from (work(state, item) for item in items)
        return
    # Spawned, not forked: a forked OpenGL context, decoder or thread pool would be shared and break.
    context = multiprocessing.get_context("spawn")
    given = (work, setup, os.getpid())
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_begin, initargs=given) as pool:
        try:
            if chunk:
                yield from pool.map(_one, items, chunksize=chunk)
            else:
                for done in as_completed([pool.submit(_one, item) for item in items]):
                    yield done.result()
        except BrokenProcessPool as error:
            hint = "Was memory short? Set GRIPLINE_WORKERS=1 and run again"
            raise StageFailed(f"{name} was killed", hint=hint) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_work: Callable[[Any], Any] | None = None
# Keeps the state for the life of a process.
_open = ExitStack()


def _begin(
    work: Callable[[State, Item], Result], setup: Callable[[], AbstractContextManager[State]], parent_pid: int
) -> None:
    global _work
    die_with_parent(parent_pid)
    state = _open.enter_context(setup())
    _work = lambda item: work(state, item)  # noqa: E731


def _one(item: Any) -> Any:
    if _work is None:
        raise StageFailed("the process was not set up")
    return _work(item)
