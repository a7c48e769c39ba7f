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

from components.dataset.stats import (
    QUANTILES,
    STAT_NAMES,
    FeatureStats,
    ImageStats,
    RunningStats,
    merge_stats,
    numeric_stats,
    sample_indices,
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
    whole, merged = numeric_stats(rows), merge_stats([numeric_stats(part) for part in cut(rows, cuts)])
    for name in EXACT:
        np.testing.assert_array_equal(merged[name], whole[name])
    scale = float(np.abs(rows).max()) + 1e-30
    np.testing.assert_allclose(merged["mean"], whole["mean"], rtol=1e-12, atol=1e-12 * scale)
    np.testing.assert_allclose(merged["std"], whole["std"], rtol=1e-9, atol=1e-12 * scale)


@settings(deadline=None)
@given(rows_of(FINITE | BROKEN), st.lists(st.integers(0, 1000), max_size=5), st.randoms())
def test_order_does_not_change_a_bit(rows: npt.NDArray[Any], cuts: list[int], random: Any) -> None:
    parts = [numeric_stats(part) for part in cut(rows, cuts)]
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
    merged = merge_stats([numeric_stats(rows), numeric_stats(rows[:1])])
    steps = [merged["min"], *(merged[name] for name in QUANTILES), merged["max"]]
    for low, high in pairwise(steps):
        assert (low <= high + 1e-9 * (1 + np.abs(high))).all()


def test_an_episode_of_nothing_but_nan_leaves_no_trace() -> None:
    good = numeric_stats(np.arange(6.0).reshape(3, 2))
    broken = numeric_stats(np.full((4, 2), np.nan))
    assert broken["count"] == [0]
    assert same(merge_stats([broken, good, broken]), merge_stats([good]))
    assert merge_stats([broken, broken])["mean"].tolist() == [0.0, 0.0]


def test_a_large_mean_does_not_eat_the_spread() -> None:
    rows = np.array([1e9, 1e9 + 1, 1e9 + 2, 1e9 + 3])[:, None]
    merged = merge_stats([numeric_stats(rows[:2]), numeric_stats(rows[2:])])
    np.testing.assert_allclose(merged["std"], rows.std(axis=0), rtol=1e-12)


def test_absurd_numbers_are_left_out_instead_of_overflowing() -> None:
    stats = merge_stats([numeric_stats(np.array([[1.0], [1e200], [3.0]]))])
    assert stats["count"] == [2]
    assert stats["max"] == [3.0]


def test_whole_numbers_keep_their_type_where_lerobot_does() -> None:
    stats = merge_stats([numeric_stats(np.array([4, 5])), numeric_stats(np.array([7]))])
    assert stats["min"].dtype == stats["max"].dtype == np.int64
    assert (stats["min"].tolist(), stats["max"].tolist(), stats["count"].tolist()) == ([4], [7], [3])
    np.testing.assert_allclose(stats["mean"], 16 / 3)


@settings(deadline=None)
@given(rows_of(FINITE | BROKEN), st.lists(st.integers(0, 1000), max_size=5), st.integers(0, 5))
def test_what_was_written_down_goes_on_as_if_it_had_not_been(
    rows: npt.NDArray[Any], cuts: list[int], stop: int
) -> None:
    parts = [numeric_stats(part) for part in cut(rows, cuts)]
    running = RunningStats()
    for index, part in enumerate(parts):
        if index == stop and index:
            running = RunningStats.from_dict(json.loads(json.dumps(running.as_dict())))
        running.add(part)
    again = RunningStats.from_dict(json.loads(json.dumps(running.as_dict())))
    for result in (running.result(), again.result()):
        assert same(result, merge_stats(parts))
        assert {name: value.dtype for name, value in result.items()} == {
            name: value.dtype for name, value in merge_stats(parts).items()
        }


def test_the_sign_of_zero_does_not_depend_on_order() -> None:
    parts = [numeric_stats(np.array([[value], [1.0]])) for value in (0.0, -0.0)]
    for order in (parts, parts[::-1]):
        assert not np.signbit(merge_stats(order)["min"]).any()


def test_shapes_do_not_mix() -> None:
    running = RunningStats()
    with pytest.raises(ValueError, match="no statistics were added"):
        running.result()
    running.add(numeric_stats(np.zeros((2, 3))))
    with pytest.raises(ValueError, match=r"shape \(4,\) after \(3,\)"):
        running.add(numeric_stats(np.zeros((2, 4))))


def test_image_statistics_are_those_of_the_pixels() -> None:
    frames = np.random.default_rng(1).integers(0, 200, (30, 8, 9, 3), dtype=np.uint8)
    frames[..., 2] //= 3
    stats = stats_of(frames)
    pixels = frames.reshape(-1, 3) / 255
    assert stats["mean"].shape == (3, 1, 1)
    assert stats["count"] == [30]
    for name, values in (("min", pixels.min(0)), ("max", pixels.max(0)), ("mean", pixels.mean(0))):
        np.testing.assert_allclose(stats[name].ravel(), values)
    np.testing.assert_allclose(stats["std"].ravel(), pixels.std(0))
    for name, share in QUANTILES.items():
        np.testing.assert_allclose(stats[name].ravel(), np.quantile(pixels, share, axis=0, method="lower"), atol=1e-9)


def test_image_statistics_of_a_long_episode_look_at_some_of_its_frames() -> None:
    frames = np.random.default_rng(1).integers(0, 200, (400, 4, 4, 3), dtype=np.uint8)
    assert same(stats_of(frames), stats_of(frames[sample_indices(400)]) | {"count": np.array([100])})


def stats_of(frames: npt.NDArray[np.uint8]) -> FeatureStats:
    running = ImageStats(len(frames))
    for frame in frames:
        running.add(frame)
    return running.result()


def test_sampling_covers_an_episode_evenly() -> None:
    assert sample_indices(60).tolist() == list(range(60))
    picked = sample_indices(2000)
    assert len(picked) == int(2000**0.75)
    assert (picked[0], picked[-1]) == (0, 1999)
    assert set(np.diff(picked)) <= {6, 7}
