"""The judge: its promises as arithmetic, its decisions by hand, and its blindness to who finishes first."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.errors import UsageError
from deploy.rollout.evidence import Episode, fold
from deploy.rollout.judge import (
    CANDIDATE,
    INCUMBENT,
    Pair,
    Rules,
    error_path,
    harm_path,
    judge,
    match,
    promote_path,
    resolved,
)
from deploy.rollout.plan import Decision

RULES = Rules(margin=0.15, alpha_abort=0.01, alpha_promote=0.05, error_rate=0.005, min_episodes=40, max_episodes=400)
ARMS = {"1": INCUMBENT, "2": CANDIDATE}


def episode(number: int, version: str, success: bool | None, *, task: str = "t", failures: int = 0) -> Episode:
    """`success` None: still running."""
    return Episode(
        f"e{number:04d}", "cell-1", task, number, "canary", number, version, success, ended=success is not None,
        attempts=10, failures=failures, started_at=f"{number:04d}", ended_at=f"{number:04d}", order=number,
    )  # fmt: skip


def history(candidate: Sequence[bool], incumbent: Sequence[bool], failures: int = 0) -> list[Episode]:
    """Arms in turn; `failures`: of each candidate episode."""
    both = zip(candidate, incumbent, strict=True)
    return [
        episode(2 * number + side, version, success, failures=failures if version == "2" else 0)
        for number, pair in enumerate(both)
        for side, (version, success) in enumerate(zip("21", pair, strict=True))
    ]


def mean_over_all_histories(path_of, steps: int, law: dict[int, float]) -> float:  # type: ignore[no-untyped-def]
    """Exact expectation of E after `steps` pairs whose differences follow `law`."""
    total = 0.0
    for found in itertools.product(law, repeat=steps):
        total += float(np.prod([law[value] for value in found])) * float(path_of(found)[-1])
    return total


@given(worse=st.floats(0, 0.5), more=st.floats(0, 0.5))
@settings(max_examples=40, deadline=None)
def test_no_evidence_of_harm_is_expected_while_the_candidate_is_not_worse(worse: float, more: float) -> None:
    better = min(worse + more, 1 - worse)
    law = {-1: worse, 0: 1 - worse - better, 1: better}
    assert mean_over_all_histories(harm_path, 5, law) <= 1 + 1e-9


@given(margin=st.floats(0.05, 0.5), better=st.floats(0, 0.4), extra=st.floats(0, 0.3))
@settings(max_examples=40, deadline=None)
def test_no_evidence_for_promotion_is_expected_at_the_margin_or_below(
    margin: float, better: float, extra: float
) -> None:
    worse = min(better + margin + extra, 1 - better)
    if worse - better < margin:
        better = (1 - margin) / 2
        worse = 1 - better
    law = {-1: worse, 0: max(0.0, 1 - worse - better), 1: better}
    assert mean_over_all_histories(lambda found: promote_path(found, margin), 5, law) <= 1 + 1e-9


@given(rate=st.floats(0.001, 0.2), share=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_no_alarm_on_requests_is_expected_while_they_fail_as_rarely_as_is_in_order(rate: float, share: float) -> None:
    truth, attempts = rate * share, 12
    weights = [
        float(np.prod([(attempts - k + i + 1) / (i + 1) for i in range(k)])) * truth**k * (1 - truth) ** (attempts - k)
        for k in range(attempts + 1)
    ]
    mean = sum(weight * float(error_path([(attempts, k)], rate)[-1]) for k, weight in enumerate(weights))
    assert mean <= 1 + 1e-9


def test_paths_of_nothing_are_empty_and_huge_evidence_stays_finite() -> None:
    assert len(harm_path([])) == len(promote_path([], 0.1)) == len(error_path([], 0.01)) == 0
    assert np.isfinite(harm_path([-1] * 5000)).all()
    assert harm_path([1] * 5000)[-1] >= 0


def test_a_much_worse_candidate_fails_soon() -> None:
    verdict = judge(history([False] * 12, [True] * 12), ARMS, RULES)
    assert verdict.decision is Decision.FAIL
    assert (verdict.worse, verdict.better, verdict.hard) == (12, 0, False)
    assert judge(history([False] * 5, [True] * 5), ARMS, RULES).decision is Decision.CONTINUE


def test_an_alarm_stays_raised() -> None:
    candidate = [False] * 12 + [True] * 300
    assert judge(history(candidate, [True] * 12 + [False] * 300), ARMS, RULES).decision is Decision.FAIL


def test_an_equal_candidate_passes_but_not_before_the_least_number_of_episodes() -> None:
    few = Rules(0.6, 0.01, 0.05, 0.005, 80, 400)
    assert judge(history([True] * 39, [True] * 39), ARMS, few).decision is Decision.CONTINUE
    verdict = judge(history([True] * 40, [True] * 40), ARMS, few)
    assert (verdict.decision, verdict.pairs, verdict.candidate_successes) == (Decision.PASS, 40, 40)


def test_no_data_is_no_success() -> None:
    verdict = judge([], ARMS, RULES)
    assert (verdict.decision, verdict.e_promote, verdict.pairs) == (Decision.CONTINUE, 1.0, 0)
    only_candidates = [episode(number, "2", True) for number in range(200)]
    assert judge(only_candidates, ARMS, RULES).decision is Decision.CONTINUE


def test_running_out_of_episodes_is_a_hold() -> None:
    short = Rules(0.01, 0.01, 0.05, 0.005, 10, 60)
    verdict = judge(history([True] * 30, [True] * 30), ARMS, short)
    assert (verdict.decision, verdict.reasons) == (Decision.HOLD, ("inconclusive after 60 episodes, 30 pairs",))


def test_failing_requests_fail_hard_and_win_over_good_episodes() -> None:
    verdict = judge(history([True] * 60, [True] * 60, failures=2), ARMS, RULES)
    assert (verdict.decision, verdict.hard) == (Decision.FAIL, True)
    assert verdict.e_promote >= RULES.promote_threshold


def test_more_failing_requests_than_in_order_hold_a_promotion_up() -> None:
    good = history([True] * 60, [True] * 60)
    assert judge(good, ARMS, RULES).decision is Decision.PASS
    spotted = [episode(500 + number, "2", True, failures=2) for number in range(2)]
    verdict = judge([*good, *spotted], ARMS, RULES)
    assert verdict.e_errors < RULES.abort_threshold
    assert verdict.decision is Decision.CONTINUE


def test_failures_that_no_version_owns_count_against_the_candidate() -> None:
    unanswered = [
        Episode(f"u{n}", "cell-1", "t", n, "canary", n, ended=True, attempts=10, failures=10) for n in range(3)
    ]
    verdict = judge([*history([True] * 5, [True] * 5), *unanswered], ARMS, RULES)
    assert verdict.decision is Decision.FAIL
    assert (verdict.candidate_failures, verdict.unknown) == (30, 3)


def test_episodes_of_other_phases_are_no_evidence() -> None:
    before = [Episode(f"s{n}", "c", "t", n, "shadow", n, "1", False, ended=True, order=n) for n in range(50)]
    assert judge(before, ARMS, RULES).episodes == 0


@pytest.mark.parametrize("arms", [{}, {"2": CANDIDATE}, {"1": CANDIDATE, "2": CANDIDATE}])
def test_a_verdict_needs_two_arms(arms: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="one candidate and one incumbent"):
        judge([], arms, RULES)


def test_pairs_are_made_within_a_task_in_the_order_of_first_answers() -> None:
    found = match(
        [
            episode(0, "2", True, task="a"),
            episode(1, "1", True, task="b"),
            episode(2, "2", False, task="a"),
            episode(3, "1", True, task="a"),
            episode(4, "2", False, task="b"),
            episode(5, "9", True, task="a"),
        ],
        ARMS,
    )
    assert found == [Pair("a", "e0000", "e0003", 0), Pair("b", "e0004", "e0001", -1)]


def test_reading_stops_at_a_pair_that_still_runs_and_passes_over_the_lost() -> None:
    running = [episode(0, "2", None), episode(1, "1", True), episode(2, "2", True), episode(3, "1", True)]
    assert resolved(match(running, ARMS)) == []
    lost = [Episode("e0000", "c", "t", 0, "canary", 0, "2", lost=True, order=0), *running[1:]]
    assert resolved(match(lost, ARMS)) == [0]


def simulate(seed: int, rates: dict[str, float], episodes: int, robots: int = 6) -> list[dict[str, object]]:
    """Evidence lines of robots that work at the same time; a failure takes three times as long as a success."""
    draw = random.Random(seed)
    events: list[tuple[float, int, dict[str, object]]] = []
    free_at = [draw.random() for _ in range(robots)]
    for number in range(episodes):
        robot = min(range(robots), key=lambda index: free_at[index])
        version, at = draw.choice("12"), free_at[robot]
        success = draw.random() < rates[version]
        free_at[robot] = at + (1.0 if success else 3.0) * (0.8 + 0.4 * draw.random())
        head = {"episode": f"e{number}", "at": f"{at:012.6f}"}
        start = {"robot": f"cell-{robot}", "task": f"t{number % 2}", "seed": 1, "phase": "canary", "number": number}
        end = {"success": success, "steps": 1, "attempts": 10, "failures": 0, "at": f"{free_at[robot]:012.6f}"}
        events.append((at, 0, {**head, "kind": "start", **start}))
        events.append((at + 0.01, 1, {**head, "kind": "served", "version": version}))
        kind = "lost" if draw.random() < 0.03 else "end"
        events.append((free_at[robot], 2, {**head, "kind": kind, **end}))
    return [line for _, _, line in sorted(events, key=lambda item: item[:2])]


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_what_was_read_is_never_read_differently_later(seed: int) -> None:
    log = simulate(seed, {"1": 0.8, "2": 0.6}, 40)
    before: list[int] = []
    for upto in range(0, len(log), 3):
        now = resolved(match(fold(log[:upto]), ARMS))
        assert now[: len(before)] == before
        before = now
    assert len(before) > 5


def test_slow_failures_raise_no_false_alarm_and_real_ones_do() -> None:
    def alarms(rates: dict[str, float], runs: int) -> int:
        paths = [harm_path(resolved(match(fold(simulate(seed, rates, 120)), ARMS))) for seed in range(runs)]
        return sum(bool(path.max(initial=1.0) >= RULES.abort_threshold) for path in paths)

    assert alarms({"1": 0.6, "2": 0.6}, 150) <= 3
    assert alarms({"1": 0.95, "2": 0.3}, 20) == 20
