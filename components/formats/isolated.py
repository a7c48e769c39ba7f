"""Work in a child process, for libraries in C that crash or spin on some damaged files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from components.core.children import CPU_LIMIT_S, ChildProcess, Death
from components.core.errors import StageFailed

Item = TypeVar("Item")
Result = TypeVar("Result")


class Child(Generic[Item, Result]):
    """One process that does `work` on one item at a time; when an item takes it down, the next gets a new one."""

    def __init__(self, work: Callable[[Item], Result], *, cpu_limit_s: int = CPU_LIMIT_S) -> None:
        self._work = work
        self._process = ChildProcess(cpu_limit_s=cpu_limit_s)

    def __call__(self, item: Item) -> tuple[Result | None, str]:
        """The result, or None and how the library ended ("crashed", "did not come to an end").

        Raises what `work` raises, and `StageFailed` where the process ends otherwise.
        """
        self._process.give(self._work, item)
        outcome = self._process.take()
        if not isinstance(outcome, Death):
            return outcome, ""
        if not outcome.reason:
            raise StageFailed(f"a process that looks at files ended with exit code {outcome.exit_code}")
        return None, outcome.reason

    def close(self) -> None:
        self._process.stop()
