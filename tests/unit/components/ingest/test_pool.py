from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from operator import call
from pathlib import Path

import pytest

from components.core.errors import FormatError, StageFailed
from components.formats.discover import sniff
from components.ingest.pool import Workers

SLOW_FIRST = [300_000, 1, 2, 250_000, 3]


@pytest.mark.parametrize("processes", [0, 1, 2])
def test_results_come_in_the_order_of_the_items(processes: int) -> None:
    with Workers(processes) as pool:
        assert list(pool.map(partial(pow, 3), SLOW_FIRST)) == [3**n for n in SLOW_FIRST]
        assert list(pool.map(abs, [])) == []
        assert list(pool.map(abs, range(-20, 0))) == list(range(20, 0, -1))


def test_items_are_drawn_a_little_ahead_only() -> None:
    drawn = []

    def items() -> Iterator[int]:
        for number in itertools.count():
            drawn.append(number)
            yield number

    with Workers(2) as pool:
        results = pool.map(abs, items())
        assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
        assert len(drawn) <= 5 + 2 * 3


@pytest.mark.parametrize("processes", [0, 2])
def test_an_error_of_the_work_comes_through(processes: int) -> None:
    with Workers(processes) as pool, pytest.raises(ValueError, match=r"invalid literal for int.*'x'"):
        list(pool.map(int, ["4", "x", "9"]))


def test_our_errors_keep_their_code_on_the_way(tmp_path: Path) -> None:
    with Workers(1) as pool, pytest.raises(FormatError, match="cannot be opened") as caught:
        list(pool.map(sniff, [tmp_path / "a.mcap"]))
    assert (caught.value.code, caught.value.where) == ("unreadable", str(tmp_path / "a.mcap"))


def calls(*middle: Callable[[], object]) -> list[Callable[[], object]]:
    return [partial(abs, -1), *middle, partial(abs, -2), partial(abs, -3)]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_crash_costs_one_item(processes: int) -> None:
    segfault = partial(signal.raise_signal, signal.SIGSEGV)
    with Workers(processes) as pool:
        results = list(pool.map(call, calls(segfault, segfault), lambda item, reason: reason))
        assert results == [1, "crashed", "crashed", 2, 3]
        # Those that took their place are as good.
        assert list(pool.map(abs, [-4, -5])) == [4, 5]


def test_a_reader_that_never_ends_costs_one_item() -> None:
    endless = partial(sum, itertools.count())
    with Workers(1, cpu_limit_s=1) as pool:
        results = list(pool.map(call, calls(endless), lambda item, reason: reason))
    assert results == [1, "did not come to an end", 2, 3]


@pytest.mark.parametrize(
    ("death", "said"),
    [(partial(os._exit, 3), "exit code 3"), (partial(signal.raise_signal, signal.SIGKILL), "exit code -9")],
)
def test_a_death_that_is_not_the_files_doing_ends_the_stage(death: Callable[[], object], said: str) -> None:
    with Workers(1) as pool, pytest.raises(StageFailed, match=f"{said}.*GRIPLINE_WORKERS=1") as caught:
        list(pool.map(call, calls(death), lambda item, reason: reason))
    assert caught.value.exit_code == 4


def test_a_crash_that_nobody_expects_ends_the_stage() -> None:
    segfault = partial(signal.raise_signal, signal.SIGSEGV)
    with Workers(1) as pool, pytest.raises(StageFailed, match="exit code -11"):
        list(pool.map(call, calls(segfault)))


def test_no_process_starts_without_work() -> None:
    with Workers(2) as pool:
        assert list(pool.map(abs, [])) == []
        assert _processes(pool) == 0
        assert list(pool.map(abs, [-1])) == [1]
        assert _processes(pool) == 1


def _processes(pool: Workers) -> int:
    return len(pool._workers)


def test_processes_end_with_the_block() -> None:
    with Workers(2) as pool:
        results = pool.map(call, [partial(os.getpid), *[partial(time.sleep, 600)] * 5])
        pid = next(results)
    assert isinstance(pid, int)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
