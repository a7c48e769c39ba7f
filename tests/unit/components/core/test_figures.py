from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.figures import cells, labels, numbers, thinned


@pytest.mark.parametrize(("length", "most"), [(1, 5), (5, 5), (6, 5), (1000, 7), (2, 1)])
def test_thinning_keeps_the_first_and_the_order(length: int, most: int) -> None:
    ticks = thinned(length, most)
    assert len(ticks) == min(length, most)
    assert (np.diff(ticks) > 0).all()
    assert ticks[0] == 0
    assert most == 1 or ticks[-1] == length - 1


@given(st.lists(st.text(max_size=60), max_size=12))
def test_labels_are_short_different_and_no_markup(values: list[str]) -> None:
    found = labels(values)
    assert len(set(found)) == len(values)
    assert not any("<" in label or ">" in label for label in found)


def test_numbers_are_plain_and_say_where_there_is_none() -> None:
    assert numbers(np.array([0.1, np.nan, -np.inf], np.float32)) == [0.1, None, None]
    assert numbers(np.array([1 / 3]), 4) == [0.3333]


def test_cells_are_counted_from_white() -> None:
    drawn = cells("site", ["north", ""], "task", ["open"], [[3, 0]])
    assert (drawn["data"][0]["x"], drawn["data"][0]["z"]) == (["north", "not said"], [[3, 0]])
    assert drawn["data"][0]["colorscale"][0] == [0.0, "#ffffff"]
