from __future__ import annotations

import json
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings

from components.core.errors import DatasetError
from components.dataset.buckets import ACCURACY, SMALLEST, keys_of, values_of
from components.dataset.sketch import Sketch, merge_sketches

SHARES = (0.0, 0.01, 0.1, 0.5, 0.9, 0.99, 1.0)
NUMBERS = (
    st.floats(-1e149, 1e149) | st.floats(-10, 10) | st.floats(-1e-8, 1e-8) | st.sampled_from([0.0, -0.0, 1e-9, 1.0])
)
ROWS = st.integers(1, 3).flatmap(
    lambda width: hnp.arrays(np.float64, st.tuples(st.integers(1, 60), st.just(width)), elements=NUMBERS)
)


def alike(left: Sketch, right: Sketch) -> bool:
    same = np.array_equal(left.cells, right.cells) and np.array_equal(left.counts, right.counts)
    return same and (left.width, left.kind) == (right.width, right.kind)


def within(found: npt.NDArray[Any], true: npt.NDArray[Any]) -> bool:
    small = np.abs(true) < SMALLEST
    return bool(np.where(small, found == 0, np.abs(found - true) <= ACCURACY * np.abs(true)).all())


@settings(deadline=None)
@given(ROWS, st.lists(st.integers(0, 100), max_size=4), st.randoms())
def test_merged_quantiles_keep_the_bound_in_any_order(rows: npt.NDArray[Any], cuts: list[int], random: Any) -> None:
    parts = [Sketch.of(part) for part in np.split(rows, sorted(cut % (len(rows) + 1) for cut in cuts))]
    random.shuffle(parts)
    merged = merge_sketches(parts)
    assert alike(merged, Sketch.of(rows))
    for share in SHARES:
        assert within(merged.quantile(share), np.quantile(rows, share, axis=0, method="lower"))


@settings(deadline=None)
@given(hnp.arrays(np.float64, st.integers(1, 200), elements=NUMBERS))
def test_the_middle_of_a_bucket_is_near_all_that_is_in_it(values: npt.NDArray[Any]) -> None:
    assert within(values_of(keys_of(values)), values)
    ordered = np.sort(values)
    assert (np.diff(keys_of(ordered)) >= 0).all()


def test_numbers_at_the_edges_of_buckets_keep_the_bound() -> None:
    middles = values_of(np.arange(1, 3000))
    edges = 2 ** (np.arange(0, 3000) / 70 - 30)
    around = np.concatenate([np.nextafter(edges, 0), edges, np.nextafter(edges, np.inf), middles])
    around = around[around >= SMALLEST]
    assert within(values_of(keys_of(around)), around)
    np.testing.assert_array_equal(keys_of(-around), -keys_of(around))


def test_what_was_taken_out_leaves_no_trace() -> None:
    rows = np.random.default_rng(1).normal(size=(400, 3))
    whole, part, rest = Sketch.of(rows), Sketch.of(rows[:150]), Sketch.of(rows[150:])
    assert alike(whole.subtract(part), rest)
    assert alike(whole.subtract(whole), Sketch.empty(3))
    with pytest.raises(ValueError, match="subtracted from one that does not contain it"):
        part.subtract(rest)


def test_few_values_far_apart_are_counted_like_many() -> None:
    rows = np.array([[1e-9, 1e100], [-1e100, 0.0]])
    both = merge_sketches([Sketch.of(rows)] * 50)
    assert alike(both, Sketch.of(np.concatenate([rows] * 50)))
    assert both.totals.tolist() == [100, 100]


def test_levels_of_pictures_are_exact() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (500, 3))
    pixels[:, 1] = 7
    parts = [
        Sketch.of_levels(np.stack([np.bincount(channel, minlength=256) for channel in part.T]))
        for part in (pixels[:100], pixels[100:])
    ]
    merged = parts[0].merge(parts[1])
    assert merged.totals.tolist() == [500, 500, 500]
    for share in SHARES:
        expected = np.quantile(pixels, share, axis=0, method="lower") / 255
        np.testing.assert_array_equal(merged.quantile(share), expected)


@pytest.mark.parametrize("kind", ["log", "levels"])
def test_there_and_back(kind: str) -> None:
    rows = np.abs(np.random.default_rng(1).normal(size=(90, 2)))
    table = np.zeros((2, 256), np.int64)
    table[1, [0, 3, 255]] = 5
    sketch = Sketch.of(rows) if kind == "log" else Sketch.of_levels(table)
    assert alike(Sketch.from_dict(json.loads(json.dumps(sketch.as_dict()))), sketch)
    assert alike(Sketch.from_lists(kind, sketch.sizes, sketch.keys, sketch.counts), sketch)
    assert sketch.keys.dtype == np.int32


@pytest.mark.parametrize(
    ("kind", "sizes", "keys", "counts", "message"),
    [
        ("log", [2], [1], [1], "1 buckets, 1 counts"),
        ("log", [1], [1], [1, 2], "1 buckets, 2 counts"),
        ("log", [1], [1], [0], "not a sketch"),
        ("other", [1], [1], [1], "of kind 'other'"),
        ("log", [2], [3, 1], [1, 1], "not in order"),
        ("log", [2], [3, 3], [1, 1], "not in order"),
    ],
)
def test_lists_that_do_not_belong_together_are_refused(
    kind: str, sizes: list[int], keys: list[int], counts: list[int], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        Sketch.from_lists(kind, sizes, keys, counts)


def test_shares_outside_of_limits() -> None:
    rows = np.stack([np.linspace(-1, 1, 1001), np.full(1001, 0.5)], axis=1)
    sketch = Sketch.of(rows)
    np.testing.assert_allclose(sketch.share_outside([-0.5, 0.5], [0.5, 0.5]), [0.5, 0.0], atol=0.01)
    np.testing.assert_allclose(sketch.share_outside([-2, 0.6], [2, 0.7]), [0.0, 1.0])
    low, high = np.quantile(rows, [0.01, 0.99], axis=0)
    assert (sketch.share_outside(low, high) <= 0.021).all()
    assert Sketch.empty(2).share_outside([0, 0], [1, 1]).tolist() == [0.0, 0.0]


def test_sketches_of_different_things_do_not_merge() -> None:
    one = Sketch.of(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"2 dimensions \(log\) with one of 3 \(log\)"):
        one.merge(Sketch.of(np.zeros((2, 2))))
    with pytest.raises(ValueError, match=r"3 dimensions \(levels\) with one of 3"):
        one.subtract(Sketch.empty(3, "levels"))
    with pytest.raises(ValueError, match="no sketch was given"):
        merge_sketches([])


def test_nothing_has_no_quantiles() -> None:
    assert Sketch.of(np.zeros((0, 2))).quantile(0.5).tolist() == [0.0, 0.0]
    assert alike(Sketch.empty(2).merge(Sketch.of(np.ones((1, 2)))), Sketch.of(np.ones((1, 2))))
