"""The Ray pool keeps what the process pool promises. One local cluster of two workers serves all tests."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from operator import call
from pathlib import Path

import pytest

from components.core.errors import EpisodeError, MissingDependency, StageFailed
from components.formats.discover import sniff
from components.ingest import ray_pool
from components.ingest.ray_pool import RayWorkers

pytest.importorskip("ray", reason="needs the extra [ray]")


@pytest.fixture(scope="module")
def pool() -> Iterator[RayWorkers]:
    with RayWorkers(2) as workers:
        yield workers


def test_results_come_in_the_order_of_the_items(pool: RayWorkers) -> None:
    slow_first = [300_000, 1, 2, 250_000, 3]
    assert list(pool.map(partial(pow, 3), slow_first)) == [3**n for n in slow_first]
    assert list(pool.map(abs, [])) == []
    assert list(pool.map(abs, range(-20, 0))) == list(range(20, 0, -1))


def test_the_work_is_done_in_other_processes(pool: RayWorkers) -> None:
    pids = set(pool.map(call, [os.getpid] * 8))
    assert 1 <= len(pids) <= 2
    assert os.getpid() not in pids


def test_items_are_drawn_a_little_ahead_only(pool: RayWorkers) -> None:
    drawn = []

    def items() -> Iterator[int]:
        for number in itertools.count():
            drawn.append(number)
            yield number

    results = pool.map(abs, items())
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert len(drawn) <= 5 + 2 * 3


def test_errors_come_through_as_they_are(pool: RayWorkers, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"invalid literal for int.*'x'"):
        list(pool.map(int, ["4", "x", "9"]))
    with pytest.raises(Exception, match="cannot be opened") as caught:
        list(pool.map(sniff, [tmp_path / "a.mcap"]))
    assert (type(caught.value).__name__, caught.value.code) == ("FormatError", "unreadable")  # type: ignore[attr-defined]


def _calls(*middle: Callable[[], object]) -> list[Callable[[], object]]:
    return [partial(abs, -1), *middle, partial(abs, -2), partial(abs, -3)]


def test_a_crash_costs_one_item(pool: RayWorkers) -> None:
    segfault = partial(signal.raise_signal, signal.SIGSEGV)
    assert list(pool.map(call, _calls(segfault), lambda item, reason: reason)) == [1, "crashed", 2, 3]
    with pytest.raises(StageFailed, match="crashed twice on the same item"):
        list(pool.map(call, [segfault]))


def _dies_once(marker: Path) -> str:
    if marker.exists():
        return "survived"
    marker.touch()
    os.kill(os.getpid(), signal.SIGKILL)
    return "unreachable"


def test_a_worker_that_dies_of_something_else_costs_nothing(pool: RayWorkers, tmp_path: Path) -> None:
    assert list(pool.map(_dies_once, [tmp_path / "died"], lambda item, reason: reason)) == ["survived"]


def test_a_reader_that_never_ends_costs_one_item(pool: RayWorkers) -> None:
    assert ray_pool._ray().is_initialized()
    endless = partial(sum, itertools.count())
    with RayWorkers(2, cpu_limit_s=1) as limited:
        assert list(limited.map(call, _calls(endless), lambda item, reason: reason)) == [1, "crashed", 2, 3]
    # It was not the one that started Ray.
    assert ray_pool._ray().is_initialized()


def test_ray_is_neither_loaded_nor_started_without_work() -> None:
    code = (
        "import sys; from components.ingest.ray_pool import RayWorkers\n"
        "with RayWorkers(2) as pool: assert list(pool.map(abs, [])) == []\n"
        "assert 'ray' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependency, match=r"pip install 'gripline\[ray\]'"):
        list(RayWorkers(1).map(abs, [1]))


def test_a_cluster_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unreachable:
        @staticmethod
        def is_initialized() -> bool:
            return False

        @staticmethod
        def init(**options: object) -> None:
            raise ConnectionError(f"nobody answers at {options['address']}")

    monkeypatch.setenv(ray_pool.ADDRESS, "127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "ray", Unreachable)
    with pytest.raises(StageFailed, match=r"127\.0\.0\.1:1: Ray does not start \(nobody answers") as caught:
        list(RayWorkers(1).map(abs, [1]))
    assert not isinstance(caught.value, EpisodeError)
