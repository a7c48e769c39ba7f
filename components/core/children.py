"""Child processes that do not outlive the process that asked for their work, and that a damaged file may take down."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

# CPU seconds for one item, so that a busy machine changes nothing; far above what the largest recording takes.
CPU_LIMIT_S = 600

_PR_SET_PDEATHSIG = 1
# How a library in C dies of a file, or of the CPU limit. Not SIGKILL: that is somebody short of memory, not the file.
_CRASHES = {
    signal.SIGSEGV: "crashed",
    signal.SIGBUS: "crashed",
    signal.SIGABRT: "crashed",
    signal.SIGFPE: "crashed",
    signal.SIGILL: "crashed",
    signal.SIGXCPU: "did not come to an end",
}


def die_with_parent(parent_pid: int) -> None:
    """Asks the kernel to kill this process when its parent ends, however it ends. Does nothing where there is no Linux.

    `parent_pid`: as the parent saw itself, so that a parent that is gone already is noticed.
    """
    try:
        prctl = ctypes.CDLL(None).prctl
    except (AttributeError, OSError):
        return
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(1)


@dataclass(frozen=True)
class Death:
    """How a process ended that had work in hand."""

    exit_code: int

    @property
    def reason(self) -> str:
        """What the item did to it ("crashed", "did not come to an end"), "" where the item is not at fault."""
        return _CRASHES.get(signal.Signals(-self.exit_code), "") if self.exit_code < 0 else ""


class ChildProcess:
    """One process that does one piece of work at a time, started when it is first needed.

    When an item takes it down, the next one gets a new process.
    """

    def __init__(self, *, cpu_limit_s: int = CPU_LIMIT_S) -> None:
        self._cpu_limit_s = cpu_limit_s
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._is_busy = False

    @property
    def connection(self) -> Connection:
        """Readable once `take` has something to give, see `multiprocessing.connection.wait`."""
        if self._connection is None:
            # Spawned, not forked: video, HDF5 and Arrow libraries hold threads and locks that a fork would break.
            context = get_context("spawn")
            self._connection, theirs = context.Pipe()
            arguments = (theirs, os.getpid(), self._cpu_limit_s)
            self._process = context.Process(target=_serve, args=arguments, daemon=True)
            self._process.start()
            theirs.close()
        return self._connection

    def give(self, work: Callable[[Any], Any], item: Any) -> None:
        """Begins `work(item)`; what was given before was taken."""
        connection = self.connection
        self._is_busy = True
        try:
            connection.send((work, item))
        except OSError:
            # It died while it was idle; the empty pipe says so when the result is due.
            return

    def take(self) -> Any:
        """Waits for the result, or the `Death` of the process. Raises what the work raises."""
        assert self._connection is not None
        assert self._process is not None
        try:
            failed, value = self._connection.recv()
        except (EOFError, OSError):
            self._process.join()
            death = Death(self._process.exitcode or 0)
            self._leave()
            return death
        self._is_busy = False
        if failed:
            raise value
        return value

    def stop(self) -> None:
        """An idle process is asked to leave, a busy one has nothing left to say."""
        if self._process is not None:
            process, busy = self._process, self._is_busy
            self._leave()
            if busy:
                process.kill()
            process.join()

    def _leave(self) -> None:
        assert self._connection is not None
        self._connection.close()
        self._connection = self._process = None
        self._is_busy = False


def _serve(connection: Connection, parent_pid: int, cpu_limit_s: int) -> None:
    die_with_parent(parent_pid)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            work, item = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(attempt(work, item, cpu_limit_s))


def attempt(work: Callable[[Any], Any], item: Any, cpu_limit_s: int = CPU_LIMIT_S) -> tuple[bool, Any]:
    """(False, the result), or (True, the error with its traceback as a note), which crosses to another process.

    For a process that may die of it: it leaves no core dump and ends when it has used up its CPU time.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    with _limited_cpu(cpu_limit_s):
        try:
            return False, work(item)
        except Exception as error:
            error.add_note(traceback.format_exc())
            return True, error


@contextmanager
def _limited_cpu(seconds: int) -> Iterator[None]:
    """For the block; the kernel ends the process with SIGXCPU beyond it."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = int(usage.ru_utime + usage.ru_stime) + 1
    before, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (used + seconds, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, (before, hard))
