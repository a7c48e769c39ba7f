"""What is usual, against loops; and that a minority moves nothing."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from components.checks.own.rows import FEWEST, Rows, deviation, members, spread, usual

VALUES = hnp.arrays(np.float64, (15, 2), elements=st.floats(-1e6, 1e6) | st.just(np.nan))
GROUPS = hnp.arrays(np.int64, 15, elements=st.integers(-1, 3))


def loop_usual(values: np.ndarray, groups: np.ndarray, quantile: float) -> np.ndarray:
    found = np.full(values.shape, np.nan)
    for row, group in enumerate(groups):
        for column in range(values.shape[1]):
            sample = values[:, column] if group < 0 else values[groups == group, column]
            known = np.sort(sample[np.isfinite(sample)])
            if len(known):
                found[row, column] = np.quantile(known, quantile, method="lower")
    return found


@given(values=VALUES, groups=GROUPS, quantile=st.sampled_from([0.5, 0.75, 0.9]))
def test_usual_and_spread_are_those_of_a_loop(values: np.ndarray, groups: np.ndarray, quantile: float) -> None:
    centre = usual(values, groups, quantile)
    assert centre == pytest.approx(loop_usual(values, groups, quantile), nan_ok=True)
    wide = loop_usual(np.abs(values - centre), groups, 0.5) * 1.4826
    assert spread(values, groups, centre) == pytest.approx(wide, nan_ok=True)


@given(groups=hnp.arrays(np.int64, st.integers(0, 20), elements=st.integers(-1, 4)))
def test_members_are_every_row_once_by_group(groups: np.ndarray) -> None:
    found = members(groups)
    assert sorted(row for rows in found for row in rows.tolist()) == list(range(len(groups)))
    assert [set(groups[rows].tolist()) for rows in found] == [{group} for group in sorted(set(groups.tolist()))]


@given(bad=hnp.arrays(np.float64, 4, elements=st.floats(-1e9, 1e9)))
def test_a_tenth_of_bad_rows_moves_what_is_usual_within_the_good_ones_only(bad: np.ndarray) -> None:
    good, groups = np.random.default_rng(0).normal(5, 1, 36), np.zeros(40, np.int64)
    centre = usual(np.concatenate([good, bad]), groups)[0]
    assert np.quantile(good, 0.35) <= centre <= np.quantile(good, 0.65)
    far = deviation(np.concatenate([good, bad]), groups, 1e-3)
    assert (np.abs(far[:36]) < 6).all()
    assert (np.sign(far[36:]) == np.sign(bad - centre)).all()


def test_deviations_count_in_spreads_and_no_less_than_the_floor() -> None:
    values, groups = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 9.0, 9.0]), np.array([0, 0, 0, 0, 0, 1, 1])
    assert deviation(values, groups, 0.1)[:5] == pytest.approx(np.arange(-2, 3) / 1.4826)
    assert deviation(values, groups, 10.0)[:5] == pytest.approx(np.arange(-2, 3) / 10)
    assert deviation(values, groups, 0.1)[5:].tolist() == [0.0, 0.0]


def made(episodes: ModuleType, **columns: list[object]) -> Rows:
    return Rows(pa.table(columns), episodes.CELL)


def test_numbers_vectors_and_texts_are_read_from_any_part_of_a_table(episodes: ModuleType) -> None:
    vectors = pa.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], pa.list_(pa.float32()))
    table = pa.table({"n": [1.0, None, 3.0], "v": vectors, "t": ["a", None, "c"]})
    rows = Rows(pa.concat_tables([table.slice(1, 2), table.slice(0, 1)]), episodes.CELL)
    assert rows.number("n") == pytest.approx(np.array([np.nan, 3.0, 1.0]), nan_ok=True)
    assert rows.vector("v").tolist() == [[3, 4], [5, 6], [1, 2]]
    assert rows.text("t") == ["", "c", "a"]


def test_vectors_of_no_length_are_vectors(episodes: ModuleType) -> None:
    rows = Rows(pa.table({"v": pa.array([[], []], pa.list_(pa.float32()))}), episodes.CELL)
    assert rows.vector("v").shape == (2, 0)


PAIRS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["x", "y", None])), min_size=1, max_size=12)


@given(pairs=PAIRS)
def test_groups_are_equal_where_all_columns_are(episodes: ModuleType, pairs: list[tuple[str, str | None]]) -> None:
    codes = made(episodes, one=[p[0] for p in pairs], other=pa.array([p[1] for p in pairs], pa.string()))
    found = codes.groups("one", "other").tolist()
    assert [[a == b for b in found] for a in found] == [[a == b for b in pairs] for a in pairs]


def test_tasks_of_a_few_episodes_share_a_group(episodes: ModuleType) -> None:
    rows = made(episodes, task=["rare", *["often"] * FEWEST, "rarer"])
    assert rows.tasks[0] == rows.tasks[-1] == -1
    assert len(set(rows.tasks[1:-1].tolist())) == 1
    assert rows.can_compare
    assert not Rows(rows.table.slice(0, FEWEST - 1), episodes.CELL).can_compare
