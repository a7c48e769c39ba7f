from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings

from components.dataset.buckets import ACCURACY, SMALLEST
from components.dataset.stats import (
    QUANTILES,
    STAT_NAMES,
    FeatureStats,
    Measured,
    RunningStats,
    measure,
    merge_stats,
    numeric_stats,
)

EXACT = ("min", "max", "count")
FINITE = st.floats(-1e6, 1e6, width=32)
BROKEN = st.sampled_from([np.nan, np.inf, -np.inf])


def rows_of(elements: st.SearchStrategy[float]) -> st.SearchStrategy[npt.NDArray[Any]]:
    return st.integers(1, 3).flatmap(
        lambda width: hnp.arrays(np.float32, st.tuples(st.integers(1, 40), st.just(width)), elements=elements)
    )


def same(left: FeatureStats, right: FeatureStats) -> bool:
    return all(np.array_equal(left[name], right[name]) for name in STAT_NAMES)


def cut(rows: npt.NDArray[Any], cuts: list[int]) -> list[npt.NDArray[Any]]:
    return [part for part in np.split(rows, sorted(c % (len(rows) + 1) for c in cuts)) if len(part)]


@settings(deadline=None)
@given(rows_of(FINITE), st.lists(st.integers(0, 1000), max_size=5))
def test_parts_add_up_to_the_whole(rows: npt.NDArray[Any], cuts: list[int]) -> None:
    whole, merged = numeric_stats(rows), merge_stats([measure(part) for part in cut(rows, cuts)])
    for name in EXACT:
        np.testing.assert_array_equal(merged[name], whole[name])
    scale = float(np.abs(rows).max()) + 1e-30
    np.testing.assert_allclose(merged["mean"], whole["mean"], rtol=1e-12, atol=1e-12 * scale)
    np.testing.assert_allclose(merged["std"], whole["std"], rtol=1e-9, atol=1e-12 * scale)


@settings(deadline=None)
@given(rows_of(FINITE | BROKEN), st.lists(st.integers(0, 1000), max_size=5), st.randoms())
def test_order_does_not_change_a_bit(rows: npt.NDArray[Any], cuts: list[int], random: Any) -> None:
    parts = [measure(part) for part in cut(rows, cuts)]
    shuffled = parts.copy()
    random.shuffle(shuffled)
    assert same(merge_stats(parts), merge_stats(shuffled))


@settings(deadline=None)
@given(rows_of(FINITE | BROKEN))
def test_broken_rows_are_as_if_they_were_not_there(rows: npt.NDArray[Any]) -> None:
    usable = rows[np.isfinite(rows).all(axis=1)]
    stats = numeric_stats(rows)
    assert stats["count"] == [len(usable)]
    assert all(np.isfinite(stats[name]).all() for name in STAT_NAMES)
    if len(usable):
        assert same(stats, numeric_stats(usable))


@settings(deadline=None)
@given(rows_of(FINITE))
def test_quantiles_are_ordered_between_min_and_max(rows: npt.NDArray[Any]) -> None:
    merged = merge_stats([measure(rows), measure(rows[:1])])
    steps = [merged["min"], *(merged[name] for name in QUANTILES), merged["max"]]
    for low, high in pairwise(steps):
        assert (low <= high).all()


def test_an_episode_of_nothing_but_nan_leaves_no_trace() -> None:
    good = measure(np.arange(6.0).reshape(3, 2))
    broken = measure(np.full((4, 2), np.nan))
    assert broken[0]["count"] == [0]
    assert same(merge_stats([broken, good, broken]), merge_stats([good]))
    assert merge_stats([broken, broken])["mean"].tolist() == [0.0, 0.0]


def test_a_large_mean_does_not_eat_the_spread() -> None:
    rows = np.array([1e9, 1e9 + 1, 1e9 + 2, 1e9 + 3])[:, None]
    merged = merge_stats([measure(rows[:2]), measure(rows[2:])])
    np.testing.assert_allclose(merged["std"], rows.std(axis=0), rtol=1e-12)


def test_absurd_numbers_are_left_out_instead_of_overflowing() -> None:
    stats = merge_stats([measure(np.array([[1.0], [1e200], [3.0]]))])
    assert stats["count"] == [2]
    assert stats["max"] == [3.0]


def test_whole_numbers_keep_their_type_where_lerobot_does() -> None:
    stats = merge_stats([measure(np.array([4, 5])), measure(np.array([7]))])
    assert stats["min"].dtype == stats["max"].dtype == np.int64
    assert (stats["min"].tolist(), stats["max"].tolist(), stats["count"].tolist()) == ([4], [7], [3])
    np.testing.assert_allclose(stats["mean"], 16 / 3)


@settings(deadline=None)
@given(rows_of(FINITE | BROKEN), st.lists(st.integers(0, 1000), max_size=5), st.integers(0, 5))
def test_what_was_written_down_goes_on_as_if_it_had_not_been(
    rows: npt.NDArray[Any], cuts: list[int], stop: int
) -> None:
    parts = [measure(part) for part in cut(rows, cuts)]
    running = RunningStats()
    for index, part in enumerate(parts):
        if index == stop and index:
            running = RunningStats.from_dict(json.loads(json.dumps(running.as_dict())))
        running.add(*part)
    again = RunningStats.from_dict(json.loads(json.dumps(running.as_dict())))
    for result in (running.result(), again.result()):
        assert same(result, merge_stats(parts))
        assert {name: value.dtype for name, value in result.items()} == {
            name: value.dtype for name, value in merge_stats(parts).items()
        }


def test_the_sign_of_zero_does_not_depend_on_order() -> None:
    parts = [measure(np.array([[value], [1.0]])) for value in (0.0, -0.0)]
    for order in (parts, parts[::-1]):
        assert not np.signbit(merge_stats(order)["min"]).any()


def test_shapes_do_not_mix() -> None:
    running = RunningStats()
    with pytest.raises(ValueError, match="no statistics were added"):
        running.result()
    running.add(*measure(np.zeros((2, 3))))
    with pytest.raises(ValueError, match=r"shape \(4,\) after \(3,\)"):
        running.add(*measure(np.zeros((2, 4))))


def test_a_sketch_of_another_width_is_refused() -> None:
    stats, _ = measure(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"a sketch of 2 dimensions \(log\) for the shape \(3,\)"):
        RunningStats().add(stats, measure(np.zeros((2, 2)))[1])


@settings(deadline=None)
@given(rows_of(FINITE), st.lists(st.integers(0, 1000), max_size=5))
def test_quantiles_of_the_whole_keep_their_bound(rows: npt.NDArray[Any], cuts: list[int]) -> None:
    merged = merge_stats([measure(part) for part in cut(rows, cuts)])
    for name, share in QUANTILES.items():
        true = np.quantile(rows.astype(np.float64), share, axis=0, method="lower")
        assert (np.abs(merged[name] - true) <= np.maximum(ACCURACY * np.abs(true), SMALLEST)).all()


@settings(deadline=None)
@given(rows_of(FINITE | BROKEN), st.lists(st.integers(0, 1000), max_size=5), st.integers(0, 5))
def test_merging_two_is_as_adding_all(rows: npt.NDArray[Any], cuts: list[int], split: int) -> None:
    parts = [measure(part) for part in cut(rows, cuts)]
    nothing = measure(rows[:0])
    left, right = running_of([nothing, *parts[:split]]), running_of([nothing, *parts[split:]])
    left.merge(right)
    assert left.as_dict() == running_of(parts).as_dict()


@settings(deadline=None)
@given(rows_of(FINITE | BROKEN), st.lists(st.integers(0, 1000), max_size=5), st.integers(1, 5))
def test_what_was_subtracted_leaves_no_trace(rows: npt.NDArray[Any], cuts: list[int], split: int) -> None:
    parts = [measure(part) for part in cut(rows, cuts)]
    gone = running_of([measure(rows[:0]), *parts[split:]])
    whole, rest = running_of(parts), running_of(parts[:split])
    extremes = (rest.result()["min"], rest.result()["max"]) if rest.count else None
    whole.subtract(gone, extremes)
    assert whole.as_dict() == rest.as_dict()


def test_taking_out_an_extreme_needs_those_of_the_rest() -> None:
    rows = np.array([[0.0], [5.0], [3.0], [4.0]])
    whole, outer, inner = (running_of([measure(part)]) for part in (rows, rows[:2], rows[2:]))
    assert (whole.holds_extremes(outer), whole.holds_extremes(inner)) == (True, False)
    with pytest.raises(ValueError, match="min or max go with what is taken out"):
        whole.subtract(outer)
    assert whole.as_dict() == running_of([measure(rows)]).as_dict()
    whole.subtract(inner)
    assert whole.result()["max"].tolist() == [5.0]
    with pytest.raises(ValueError, match="does not contain it"):
        whole.subtract(inner)


def running_of(parts: list[Measured]) -> RunningStats:
    running = RunningStats()
    for part in parts:
        running.add(*part)
    return running
