"""Timestamps: what rows of streams.parquet say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.checks import clocks
from components.core.episode import Stream
from components.ingest.align import stream_facts

TICKS = np.arange(20) / 20


def facts(time_s: np.ndarray, kind: str = "state") -> dict[str, Any]:
    """The row that ingest writes for samples at these times."""
    stream = Stream("hand", kind, np.round(time_s * 1e9).astype(np.int64), np.zeros((len(time_s), 1)))  # type: ignore[arg-type]
    return stream_facts(stream, start_ns=0)


@given(rate_hz=st.floats(1, 500), count=st.integers(2, 300))
def test_an_even_stream_drops_nothing_whatever_others_run_at(rate_hz: float, count: int) -> None:
    row = facts(np.arange(count) / rate_hz)
    assert clocks.dropped_share([row], {"hand": 1000.0}) == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6])
def test_the_share_of_lost_samples_is_found(share: float) -> None:
    rng = np.random.default_rng(3)
    keep = rng.random(400) >= share
    keep[[0, -1]] = True
    row = facts((np.arange(400) / 30.0)[keep])
    assert clocks.dropped_share([row], {"hand": 30.0}) == pytest.approx(1 - keep.mean(), abs=0.01)


def test_without_a_nominal_rate_a_large_loss_still_shows() -> None:
    keep = np.random.default_rng(4).random(400) >= 0.4
    assert clocks.dropped_share([facts((np.arange(400) / 30.0)[keep])], {}) > 0.3


def test_one_gap_counts_by_its_length() -> None:
    time = np.concatenate([np.arange(30) / 30.0, 2.0 + np.arange(30) / 30.0])
    assert clocks.dropped_share([facts(time)], {}) == pytest.approx(1 / 3, abs=0.02)


def test_a_stream_of_one_sample_is_all_lost_and_one_of_one_instant_is_not_judged() -> None:
    assert clocks.dropped_share([facts(np.array([0.5]))], {}) == 1.0
    assert clocks.dropped_share([facts(np.array([0.5, 0.5, 0.5]))], {}) == 0.0


def test_the_worst_stream_decides() -> None:
    even, gappy = facts(np.arange(60) / 30.0), facts(np.delete(np.arange(60) / 30.0, slice(20, 40)))
    assert clocks.dropped_share([even, gappy], {}) == clocks.dropped_share([gappy], {}) > 0.3


def test_backwards_and_stopped_count_streams_and_ticks() -> None:
    rows = [facts(np.array([0.0, 0.2, 0.1, 0.1])), facts(np.array([0.0, 0.1]))]
    assert clocks.backwards(rows, TICKS) == 1
    assert clocks.stopped(rows, TICKS) == 1
    assert clocks.backwards(rows, np.array([0.0, 0.2, 0.1])) == 2
    assert clocks.stopped(rows, np.array([0.0, 0.2, 0.2])) == 2


def test_jitter_and_gap_take_the_worst_stream_and_forgive_missing_rows() -> None:
    rows = [facts(np.arange(10) / 10), facts(np.array([0.0, 0.1, 0.2, 0.6]))]
    assert clocks.jitter(rows) == pytest.approx(rows[1]["jitter"])
    assert clocks.longest_gap_s(rows) == pytest.approx(0.4)
    assert clocks.jitter([]) == clocks.longest_gap_s([]) == clocks.dropped_share([], {}) == 0.0


def test_the_rate_of_the_commands_is_that_of_their_stream_else_of_the_ticks() -> None:
    rows = [facts(np.arange(30) / 30), facts(np.arange(10) / 10, kind="action")]
    assert clocks.action_rate_hz(rows, TICKS) == pytest.approx(10.0)
    assert clocks.action_rate_hz(rows[:1], TICKS) == pytest.approx(20.0)


@pytest.mark.parametrize("time", [[0.0], [1.0, 1.0, 1.0], [3.0, 2.0, 1.0], [np.nan, np.nan, np.nan]])
def test_no_rate_where_no_time_passes(time: list[float]) -> None:
    assert clocks.tick_rate_hz(np.array(time)) == 0.0
    assert clocks.rate_error(0.0, 20.0) == 1.0


def test_misalignment_forgives_the_first_period_of_a_held_value_only() -> None:
    held = {"stream": "gripper", "kind": "state", "rate_hz": 10.0, "worst_misalignment_ms": 110.0}
    image = {"stream": "fixed", "kind": "image", "rate_hz": 30.0, "worst_misalignment_ms": 16.0}
    unused = {"stream": "action_executed", "kind": "action", "rate_hz": 20.0, "worst_misalignment_ms": None}
    assert clocks.misalignment_ms([held]) == pytest.approx(10.0)
    assert clocks.misalignment_ms([held, image, unused]) == pytest.approx(16.0)
    assert clocks.misalignment_ms([{**held, "worst_misalignment_ms": float("nan")}]) == 0.0
