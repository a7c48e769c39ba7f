"""Work that another process can import: what the standard library has."""

from __future__ import annotations

import operator
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from components.core.errors import StageFailed
from components.core.spread import spread

PARENT = """
import os, sys, time
from contextlib import nullcontext
from functools import partial
from operator import call
from components.core.spread import spread

for done in spread(call, [0, 600], partial(nullcontext, time.sleep), processes=2, name="a sleeper"):
    print(*(child for child in open(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read().split()), flush=True)
"""


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("chunk", [1, 7])
def test_with_chunks_results_come_in_the_order_of_the_items(processes: int, chunk: int) -> None:
    results = spread(operator.sub, range(20), partial(nullcontext, 5), processes=processes, name="x", chunk=chunk)
    assert list(results) == [5 - item for item in range(20)]


def test_without_chunks_every_result_comes_once() -> None:
    assert sorted(spread(operator.mul, range(9), partial(nullcontext, 3), processes=2, name="x")) == [
        3 * item for item in range(9)
    ]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_process_sets_up_once(processes: int) -> None:
    items, empty = [[n] for n in range(6)], partial(nullcontext, [])
    # Each adds its item to the state of its process and returns that.
    lengths = [len(list(state)) for state in spread(operator.iadd, items, empty, processes=processes, name="x")]
    assert len(lengths) == 6
    assert 1 <= lengths.count(1) <= processes


def test_one_process_is_this_one_and_is_cleared_up() -> None:
    said: list[str] = []

    @contextmanager
    def opened() -> Iterator[int]:
        said.append("open")
        yield os.getpid()
        said.append("closed")

    assert list(spread(lambda state, _: state, [1, 2], opened, processes=1, name="x")) == [os.getpid()] * 2
    assert said == ["open", "closed"]


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_of_the_work_comes_through(processes: int) -> None:
    results = spread(operator.truediv, [1, 0, 2], partial(nullcontext, 8), processes=processes, name="x", chunk=1)
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        list(results)


@pytest.mark.parametrize("chunk", [0, 1])
def test_a_killed_process_is_named(chunk: int) -> None:
    killed: Any = partial(nullcontext, signal.raise_signal)
    with pytest.raises(StageFailed, match=r"a drawing process was killed.*GRIPLINE_WORKERS=1"):
        list(spread(operator.call, [signal.SIGKILL], killed, processes=2, name="a drawing process", chunk=chunk))


def test_processes_end_with_a_parent_that_was_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = [int(word) for word in parent.stdout.readline().split()]
        assert len(children) >= 2
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 20
    while any(map(_runs, children)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(_runs, children))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
