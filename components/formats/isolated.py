"""Work in a child process, for libraries in C that crash or spin on some damaged files."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from components.core.children import die_with_parent
from components.core.errors import StageFailed

Item = TypeVar("Item")
Result = TypeVar("Result")

# Of CPU, for one item; far above what the largest recording takes.
CPU_LIMIT_S = 600
# How a library dies of a file. Not SIGKILL: that is somebody short of memory.
_CRASHES = {
    signal.SIGSEGV: "crashed",
    signal.SIGBUS: "crashed",
    signal.SIGABRT: "crashed",
    signal.SIGFPE: "crashed",
    signal.SIGILL: "crashed",
    signal.SIGXCPU: "did not come to an end",
}


class Child(Generic[Item, Result]):
    """One process that does `work` on one item at a time; when an item takes it down, the next gets a new one."""

    def __init__(self, work: Callable[[Item], Result], *, cpu_limit_s: int = CPU_LIMIT_S) -> None:
        self._work, self._cpu_limit_s = work, cpu_limit_s
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None

    def __call__(self, item: Item) -> tuple[Result | None, str]:
        """The result, or None and how the library ended ("crashed", "did not come to an end").

        Raises what `work` raises, and `StageFailed` where the process ends otherwise.
        """
        connection = self._started()
        connection.send(item)
        try:
            failed, value = connection.recv()
        except (EOFError, OSError):
            return None, self._reason()
        if failed:
            raise value
        return value, ""

    def close(self) -> None:
        if self._connection is not None and self._process is not None:
            self._connection.close()
            self._process.join()
            self._connection = self._process = None

    def _started(self) -> Connection:
        if self._connection is None:
            # Spawned, not forked: video, HDF5 and Arrow libraries hold threads and locks that a fork would break.
            context = get_context("spawn")
            self._connection, theirs = context.Pipe()
            arguments = (theirs, os.getpid(), self._work, self._cpu_limit_s)
            self._process = context.Process(target=_serve, args=arguments, daemon=True)
            self._process.start()
            theirs.close()
        return self._connection

    def _reason(self) -> str:
        assert self._process is not None
        self._process.join()
        code = self._process.exitcode or 0
        self.close()
        reason = _CRASHES.get(signal.Signals(-code)) if code < 0 else None
        if reason is None:
            raise StageFailed(f"a process that looks at files ended with exit code {code}")
        return reason


def _serve(connection: Connection, parent: int, work: Callable[[Any], Any], cpu_limit_s: int) -> None:
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while True:
        try:
            item = connection.recv()
        except (EOFError, OSError):
            return
        usage = resource.getrusage(resource.RUSAGE_SELF)
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(usage.ru_utime + usage.ru_stime) + 1 + cpu_limit_s, hard))
        try:
            answer = (False, work(item))
        except Exception as error:
            answer = (True, error)
        connection.send(answer)
