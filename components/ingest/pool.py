"""Worker processes that never change a result, and that a damaged file may take down without harm to the others.

Libraries that parse files in C crash or spin on some damaged ones. So each item is in one known process at a time: when
that dies, the item is lost, a new process takes its place, and the rest goes on.
"""

from __future__ import annotations

import os
import resource
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, TypeVar

from components.core.children import die_with_parent
from components.core.errors import StageFailed

Item = TypeVar("Item")
Result = TypeVar("Result")

# Results that may wait per process: enough to keep all busy, and a bound on memory.
AHEAD = 3
# How a library dies of a file, or of the CPU limit. Not SIGKILL: that is somebody short of memory, not the file.
_CRASHES = {
    signal.SIGSEGV: "crashed",
    signal.SIGBUS: "crashed",
    signal.SIGABRT: "crashed",
    signal.SIGFPE: "crashed",
    signal.SIGILL: "crashed",
    signal.SIGXCPU: "did not come to an end",
}
# CPU seconds, so that a busy machine changes nothing; far above what the largest recording takes.
CPU_LIMIT_S = 600


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
            worker.stop()

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
                    done[number] = _lost(item, outcome, lost) if isinstance(outcome, _Death) else outcome

    def _idle(self) -> _Worker:
        """A process without an item, started when it is first needed."""
        for worker in self._workers:
            if worker.number is None:
                return worker
        self._workers.append(_Worker(self._cpu_limit_s))
        return self._workers[-1]

    def _outcomes(self) -> Iterator[tuple[int, Any]]:
        """Waits for at least one result; an exception of the work is raised."""
        busy = {worker.connection: worker for worker in self._workers if worker.number is not None}
        for connection in wait(list(busy)):
            worker = busy[connection]  # type: ignore[index]
            number = worker.number
            assert number is not None
            yield number, worker.take()


def _lost(item: Item, death: _Death, lost: Callable[[Item, str], Result] | None) -> Result:
    reason = _CRASHES.get(death.signal) if death.signal else None
    if lost is None or reason is None:
        hint = "If memory ran out, try again with GRIPLINE_WORKERS=1"
        raise StageFailed(f"a worker process ended with exit code {death.exit_code}", hint=hint)
    return lost(item, reason)


class _Death:
    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code
        self.signal = signal.Signals(-exit_code) if exit_code < 0 else None


class _Worker:
    """One process and the item it has."""

    def __init__(self, cpu_limit_s: int) -> None:
        self._cpu_limit_s = cpu_limit_s
        self.number: int | None = None
        self._start()

    def _start(self) -> None:
        # Spawned, not forked: video, HDF5 and Arrow libraries hold threads and locks that a fork would break.
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        arguments = (theirs, os.getpid(), self._cpu_limit_s)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()

    def give(self, number: int, work: Callable[[Any], Any], item: Any) -> None:
        self.number = number
        try:
            self.connection.send((work, item))
        except OSError:
            # It died while it was idle; the empty pipe says so when the result is due.
            return

    def take(self) -> Any:
        """The result, or the death of the process, which is then replaced."""
        self.number = None
        try:
            failed, value = self.connection.recv()
        except (EOFError, OSError):
            self._process.join()
            death = _Death(self._process.exitcode or 0)
            self.connection.close()
            self._start()
            return death
        if failed:
            raise value
        return value

    def stop(self) -> None:
        """An idle process is asked to leave, a busy one has nothing left to say."""
        self.connection.close()
        if self.number is not None:
            self._process.kill()
        self._process.join()


def _serve(connection: Connection, parent: int, cpu_limit_s: int) -> None:
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while True:
        try:
            work, item = connection.recv()
        except (EOFError, OSError):
            return
        with limit_cpu(cpu_limit_s):
            try:
                answer = (False, work(item))
            except Exception as error:
                error.add_note(traceback.format_exc())
                answer = (True, error)
        connection.send(answer)


@contextmanager
def limit_cpu(seconds: int) -> Iterator[None]:
    """For the block; the kernel ends the process with SIGXCPU beyond it."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = int(usage.ru_utime + usage.ru_stime) + 1
    before, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (used + seconds, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, (before, hard))
