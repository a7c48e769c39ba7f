from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import pytest

from components.core.errors import StageFailed
from components.ingest.pool import Workers

SLOW_FIRST = [300_000, 1, 2, 250_000, 3]


def test_results_come_in_the_order_of_the_items() -> None:
    work = partial(pow, 3)
    expected = [3**n for n in SLOW_FIRST]
    for count in (1, 2):
        with Workers(count) as pool:
            assert list(pool.map(work, SLOW_FIRST)) == expected
            assert list(pool.map(work, [])) == []


def test_items_are_drawn_a_little_ahead_only() -> None:
    drawn = []

    def items() -> Iterator[int]:
        for number in range(100):
            drawn.append(number)
            yield number

    with Workers(2) as pool:
        results = pool.map(abs, items())
        assert next(results) == 0
        assert len(drawn) <= 6


@pytest.mark.parametrize("count", [1, 2])
def test_an_error_of_the_work_comes_through(count: int) -> None:
    with Workers(count) as pool, pytest.raises(ValueError, match=r"invalid literal for int.*'x'"):
        list(pool.map(int, ["4", "x", "9"]))


def test_a_process_that_dies_ends_the_stage_with_a_hint() -> None:
    with Workers(2) as pool, pytest.raises(StageFailed, match=r"a worker process died.*GRIPLINE_WORKERS=1") as caught:
        list(pool.map(os._exit, [3]))
    assert caught.value.exit_code == 4
