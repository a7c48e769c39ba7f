"""Worker processes that never change a result, and that a damaged file may take down without harm to the others.

Libraries that parse files in C crash or spin on some damaged ones. So each item is in one known process at a time: when
that dies, the item is lost, a new process takes its place, and the rest goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, TypeVar

from components.core.children import CPU_LIMIT_S, ChildProcess, Death
from components.core.errors import StageFailed

Item = TypeVar("Item")
Result = TypeVar("Result")

# Results that may wait per process: enough to keep all busy, and a bound on memory.
AHEAD = 3


class Workers:
    """Up to `count` processes, as many as there are items for; 0 works in this process.

    That is quick to start and has no defence against a crash.
    """

    def __init__(self, count: int, *, cpu_limit_s: int = CPU_LIMIT_S) -> None:
        self._count = count
        self._cpu_limit_s = cpu_limit_s
        self._workers: list[_Worker] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for worker in self._workers:
            worker.process.stop()

    def map(
        self,
        work: Callable[[Item], Result],
        items: Iterable[Item],
        lost: Callable[[Item, str], Result] | None = None,
    ) -> Iterator[Result]:
        """Results in the order of `items`, which are drawn only a little ahead of what is taken.

        `lost`: makes the result of an item whose process crashed or used up its CPU time, from the item and the reason.
        Raises what `work` raises, and `StageFailed` where a process dies otherwise, or crashes without `lost`.
        """
        if not self._count:
            yield from map(work, items)
            return
        source = enumerate(items)
        given: dict[int, Item] = {}
        done: dict[int, Result] = {}
        taken, more = 0, True
        while more or given or done:
            while more and len(given) < self._count and len(given) + len(done) < self._count * AHEAD:
                number, item = next(source, (-1, None))
                more = number >= 0
                if more:
                    given[number] = item  # type: ignore[assignment]
                    self._idle().give(number, work, item)
            if taken in done:
                yield done.pop(taken)
                taken += 1
            elif given:
                for number, outcome in self._outcomes():
                    item = given.pop(number)
                    done[number] = _lost(item, outcome, lost) if isinstance(outcome, Death) else outcome

    def _idle(self) -> _Worker:
        """A process without an item, started when it is first needed."""
        for worker in self._workers:
            if worker.number is None:
                return worker
        self._workers.append(_Worker(self._cpu_limit_s))
        return self._workers[-1]

    def _outcomes(self) -> Iterator[tuple[int, Any]]:
        """Waits for at least one result; an exception of the work is raised."""
        busy = {worker.process.connection: worker for worker in self._workers if worker.number is not None}
        for connection in wait(list(busy)):
            worker = busy[connection]  # type: ignore[index]
            number = worker.number
            assert number is not None
            yield number, worker.take()


def _lost(item: Item, death: Death, lost: Callable[[Item, str], Result] | None) -> Result:
    if lost is None or not death.reason:
        hint = "If memory ran out, try again with GRIPLINE_WORKERS=1"
        raise StageFailed(f"a worker process ended with exit code {death.exit_code}", hint=hint)
    return lost(item, death.reason)


class _Worker:
    """One process and the number of the item it has."""

    def __init__(self, cpu_limit_s: int) -> None:
        self.process = ChildProcess(cpu_limit_s=cpu_limit_s)
        self.number: int | None = None

    def give(self, number: int, work: Callable[[Any], Any], item: Any) -> None:
        self.number = number
        self.process.give(work, item)

    def take(self) -> Any:
        self.number = None
        return self.process.take()
