"""Copies share hashes, others do not."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from components.checks.measure.fingerprint import SHINGLE, SIZE, fingerprint

LOW, HIGH = np.full(3, -1.0), np.full(3, 1.0)


def commands(seed: int, ticks: int = 80) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.9, 0.9, (ticks, 3))


def hashes(action: np.ndarray, low: np.ndarray = LOW, high: np.ndarray = HIGH) -> set[int]:
    return set(fingerprint(action, low, high))


@given(seed=st.integers(0, 10**6), start=st.integers(0, 30), end=st.integers(0, 20))
def test_a_trimmed_copy_shares_hashes(seed: int, start: int, end: int) -> None:
    action = commands(seed)
    whole, part = hashes(action), hashes(action[start : len(action) - end])
    # Of the smallest of the whole, those that lie in the part are the smallest of the part, too.
    assert len(whole & part) >= 4
    assert len(whole) == len(part) == SIZE if len(action) - start - end >= SIZE + SHINGLE - 1 else part


@given(one=st.integers(0, 10**6), other=st.integers(0, 10**6))
def test_other_commands_share_none(one: int, other: int) -> None:
    assert one == other or not hashes(commands(one)) & hashes(commands(other))


def test_rounding_to_float32_changes_next_to_nothing() -> None:
    action = commands(3)
    rounded = action.astype(np.float32).astype(np.float64)
    assert len(hashes(action) & hashes(rounded)) >= SIZE - 2


def test_hashes_are_sorted_distinct_and_no_more_than_there_are_runs() -> None:
    found = fingerprint(commands(1), LOW, HIGH)
    assert found == fingerprint(commands(1), LOW, HIGH)
    assert len(found) == len(set(found)) == SIZE
    assert len(fingerprint(commands(1)[:6], LOW, HIGH)) == 6 - SHINGLE + 1
    assert fingerprint(commands(1)[: SHINGLE - 1], LOW, HIGH) == []


def test_what_stands_still_or_runs_at_its_limits_says_nothing() -> None:
    still = np.full((40, 3), 0.3)
    full = np.where(commands(2) > 0, 1.0, -1.0)
    assert hashes(still) == hashes(full) == set()
    # One command within its limits says something.
    full[:, 0] = commands(2)[:, 0]
    assert hashes(full)


def test_order_of_ticks_and_of_commands_counts() -> None:
    action = commands(4)
    assert not hashes(action) & hashes(action[::-1])
    assert not hashes(action) & hashes(action[:, [1, 0, 2]])


def test_commands_without_limits_and_beyond_reason_are_hashed_too() -> None:
    unlimited = np.full(3, np.inf)
    action = commands(5)
    action[10] = 3e38
    assert hashes(action, -unlimited, unlimited)
    assert len(hashes(action) & hashes(commands(5))) >= SIZE // 2
