from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import UsageError
from components.evaluate.intervals import p_not_better, wilson

COUNTS = st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # Published values (Wilson 1927 as tabulated by Newcombe 1998, method 3).
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_as_published(successes, n, low, high):
    assert wilson(successes, n, 0.95) == pytest.approx((low, high), abs=5e-5)


@given(counts=COUNTS, confidence=st.floats(0.5, 0.999))
def test_wilson_holds_the_rate_and_mirrors(counts, confidence):
    successes, n = counts
    low, high = wilson(successes, n, confidence)
    assert 0.0 <= low <= successes / n <= high <= 1.0
    assert wilson(n - successes, n, confidence) == pytest.approx((1 - high, 1 - low), abs=1e-12)


@given(counts=COUNTS)
def test_wilson_narrows_with_trials_and_widens_with_confidence(counts):
    successes, n = counts
    (low, high), (more_low, more_high) = wilson(successes, n, 0.95), wilson(successes * 4, n * 4, 0.95)
    assert more_high - more_low < high - low
    sure_low, sure_high = wilson(successes, n, 0.99)
    assert sure_low <= low
    assert sure_high >= high


def test_nothing_tried_says_nothing():
    assert wilson(0, 0, 0.95) == (0.0, 1.0)


@pytest.mark.parametrize(("successes", "n", "confidence"), [(3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0), (1, 2, 0.0)])
def test_wilson_refuses_nonsense(successes, n, confidence):
    with pytest.raises(UsageError, match=r"successes of|between 0 and 1"):
        wilson(successes, n, confidence)


def test_fisher_as_published():
    # The lady tasting tea: all four of four right, against none of the other four.
    assert p_not_better(4, 4, 0, 4) == pytest.approx(1 / 70)
    assert p_not_better(3, 4, 1, 4) == pytest.approx(17 / 70)


@given(one=COUNTS, other=COUNTS)
def test_fisher_is_a_probability_and_more_successes_are_more_evidence(one, other):
    chance = p_not_better(*one, *other)
    assert 0.0 < chance <= 1.0 + 1e-12
    if one[0] < one[1]:
        assert p_not_better(one[0] + 1, one[1], *other) < chance + 1e-12
    tail = p_not_better(*one, *other) + p_not_better(*other, *one)
    assert tail >= 1.0 - 1e-9, "both tails hold the table itself"


def test_equal_rates_are_no_evidence():
    assert p_not_better(25, 50, 25, 50) > 0.5
    assert p_not_better(0, 50, 0, 50) == 1.0


def test_fisher_refuses_nonsense():
    with pytest.raises(UsageError, match="3 successes of 2 against 1 of 2"):
        p_not_better(3, 2, 1, 2)
