from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from operator import call
from pathlib import Path

import pytest

from components.core.errors import FormatError, StageFailed
from components.formats.discover import sniff
from components.formats.isolated import Child

# A test cannot be imported by another process; what the standard library has can.
Item = Callable[[], object]
PID = os.getpid
SPIN = partial(all, range(1, 10**12))


def end_by(number: signal.Signals) -> Item:
    return partial(signal.raise_signal, number)


@pytest.fixture
def child() -> Iterator[Child[Item, object]]:
    made: Child[Item, object] = Child(call, cpu_limit_s=1)
    yield made
    made.close()


def test_one_process_serves_until_an_item_takes_it_down(child: Child[Item, object]) -> None:
    first, _ = child(PID)
    assert first != os.getpid()
    assert child(PID) == (first, "")
    assert child(end_by(signal.SIGSEGV)) == (None, "crashed")
    again, reason = child(PID)
    assert (again != first, reason) == (True, "")


def test_an_error_of_the_work_comes_through(child: Child[Item, object], tmp_path: Path) -> None:
    first, _ = child(PID)
    with pytest.raises(FormatError, match="cannot be opened") as caught:
        child(partial(sniff, tmp_path / "a.mcap"))
    assert caught.value.code == "unreadable"
    assert child(PID) == (first, "")


def test_an_item_that_never_ends_is_ended(child: Child[Item, object]) -> None:
    assert child(SPIN) == (None, "did not come to an end")


def test_a_process_that_was_killed_is_no_fault_of_the_item(child: Child[Item, object]) -> None:
    with pytest.raises(StageFailed, match="exit code -9"):
        child(end_by(signal.SIGKILL))
