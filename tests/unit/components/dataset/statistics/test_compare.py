from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from components.dataset.statistics.compare import (
    FITS,
    SHIFTED,
    UNUSABLE,
    Comparison,
    Dimension,
    Limits,
    compare,
)
from components.dataset.stats import RunningStats, measure

ROWS = np.random.default_rng(1).normal([1.0, -2.0, 0.0], [0.5, 2.0, 1.0], (4000, 3))


def running(rows: npt.NDArray[Any]) -> RunningStats:
    found = RunningStats()
    found.add(*measure(rows))
    return found


def base_of(rows: npt.NDArray[Any], **changes: Any) -> dict[str, npt.NDArray[Any]]:
    stats = measure(rows)[0]
    return {name: np.array(values) for name, values in stats.items() if name != "count"} | changes


def dimensions(rows: npt.NDArray[Any], base: dict[str, npt.NDArray[Any]]) -> tuple[Dimension, ...]:
    return compare({"action": running(rows)}, {"action": base}).features[0].dimensions


def verdicts(rows: npt.NDArray[Any], base: dict[str, npt.NDArray[Any]]) -> list[str]:
    return [one.verdict for one in dimensions(rows, base)]


def test_data_fit_their_own_statistics() -> None:
    comparison = compare({"action": running(ROWS)}, {"action": base_of(ROWS)})
    assert comparison.verdict == FITS
    for one in comparison.features[0].dimensions:
        assert one.mean_shift == pytest.approx(0, abs=1e-12)
        assert one.std_ratio == pytest.approx(1)
        assert one.outside == pytest.approx(0.02, abs=0.003)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda rows: rows + np.array([0.0, 3.0, 0.0]), [FITS, SHIFTED, FITS]),
        (lambda rows: rows + np.array([0.0, 0.0, 6.0]), [FITS, FITS, UNUSABLE]),
        (lambda rows: rows * [3.0, 1.0, 1.0] - [2.0, 0.0, 0.0], [SHIFTED, FITS, FITS]),
        (lambda rows: rows * [1.0, 1.0, 0.1], [FITS, FITS, SHIFTED]),
        (lambda rows: rows * [1.0, 1.0, 20.0], [FITS, FITS, UNUSABLE]),
    ],
)
def test_what_moved_or_spread_is_told_by_dimension(change: Any, expected: list[str]) -> None:
    assert verdicts(change(ROWS), base_of(ROWS)) == expected


def test_shift_ratio_and_share_are_those_of_the_definition() -> None:
    one = dimensions(ROWS * 1.5 + 1, base_of(ROWS))[1]
    moved, own = ROWS[:, 1] * 1.5 + 1, ROWS[:, 1]
    assert one.mean_shift == pytest.approx(abs(moved.mean() - own.mean()) / own.std())
    assert one.std_ratio == pytest.approx(1.5)
    low, high = np.quantile(own, [0.01, 0.99])
    assert one.outside == pytest.approx(((moved < low) | (moved > high)).mean(), abs=0.005)


def test_tails_alone_can_shift() -> None:
    rows = ROWS.copy()
    rows[::4, 2] = 2.6
    one = dimensions(rows, base_of(ROWS))[2]
    assert (one.verdict, one.outside) == (SHIFTED, pytest.approx(0.27, abs=0.02))


@pytest.mark.parametrize(
    ("data_still", "base_still", "value", "still", "verdict"),
    [
        (True, False, -2.0, "data", FITS),
        (True, False, 40.0, "data", UNUSABLE),
        (False, True, 0.0, "base", UNUSABLE),
        (True, True, 0.5, "both", FITS),
        (True, True, 0.6, "both", UNUSABLE),
    ],
)
def test_dimensions_that_do_not_move(
    data_still: bool, base_still: bool, value: float, still: str, verdict: str
) -> None:
    rows, seen = ROWS.copy(), ROWS.copy()
    if data_still:
        rows[:, 1] = value
    if base_still:
        seen[:, 1] = 0.5
    one = dimensions(rows, base_of(seen))[1]
    assert (one.still, one.verdict) == (still, verdict)


def test_another_number_of_dimensions_is_unusable() -> None:
    comparison = compare({"action": running(ROWS)}, {"action": base_of(ROWS[:, :2])})
    assert comparison.verdict == UNUSABLE
    assert comparison.features[0].reason == "3 dimensions, the base has 2"


def test_zeros_behind_what_counts_are_padding() -> None:
    padded = {name: np.append(values, np.zeros(29)) for name, values in base_of(ROWS).items()}
    assert verdicts(ROWS, padded) == [FITS] * 3
    padded["std"][-1] = 1.0
    assert compare({"action": running(ROWS)}, {"action": padded}).verdict == UNUSABLE


def test_limits_alone_tell_what_lies_outside_of_them() -> None:
    base = {"min": np.array([-9.0, -9.0, -0.5]), "max": np.array([9.0, 9.0, 9.0])}
    found = dimensions(ROWS, base)
    assert [one.verdict for one in found] == [FITS, FITS, SHIFTED]
    assert (found[2].mean_shift, found[2].outside) == (None, pytest.approx(0.31, abs=0.02))


def test_finished_statistics_know_no_shares() -> None:
    comparison = compare({"action": running(ROWS).result()}, {"action": base_of(ROWS)})
    assert [one.outside for one in comparison.features[0].dimensions] == [None] * 3
    assert comparison.verdict == FITS


def test_a_feature_without_values_or_without_a_partner() -> None:
    empty = running(np.full((3, 3), np.nan))
    comparison = compare({"action": empty, "a": running(ROWS)}, {"action": base_of(ROWS), "b": base_of(ROWS)})
    assert (comparison.verdict, comparison.features[0].reason) == (UNUSABLE, "no value that counts")
    assert (comparison.only_data, comparison.only_base) == (("a",), ("b",))
    assert compare({"a": running(ROWS)}, {"b": base_of(ROWS)}).verdict == UNUSABLE


def test_limits_can_be_set() -> None:
    found = compare({"action": running(ROWS + 0.1)}, {"action": base_of(ROWS)}, limits=Limits(mean_shift=(0.01, 0.02)))
    assert found.verdict == UNUSABLE


def test_it_is_told_as_json_and_as_a_table() -> None:
    comparison: Comparison = compare(
        {"action": running(ROWS), "state": running(ROWS), "time": running(ROWS[:, :1])},
        {"action": base_of(ROWS + np.array([0, 3.0, 0])), "state": base_of(ROWS[:, :2])},
        names={"action": ("x", "y", "z")},
    )
    value = json.loads(json.dumps(comparison.as_dict(), allow_nan=False))
    assert (value["verdict"], value["features"]["action"]["verdict"], value["only_data"]) == (
        UNUSABLE,
        SHIFTED,
        ["time"],
    )
    assert [one["name"] for one in value["features"]["action"]["dimensions"]] == ["x", "y", "z"]
    lines = comparison.markdown().splitlines()
    assert len([line for line in lines if line.startswith("| `action` | ")]) == 3
    assert any(line.startswith("| `action` | y | 1.5") and line.endswith("| shifted |") for line in lines)
    assert "| `state` | 3 dimensions, the base has 2 | | | | | unusable |" in lines
    assert lines[-1] == "Only in the data: time"
