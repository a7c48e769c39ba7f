"""Expectations made of params."""

from __future__ import annotations

import pytest

from components.checks.codes import CHECKS, CODES
from components.checks.suite import bound, episode_suite, suite_digest, task_suite, verdict_suite
from components.core.errors import ParamsError
from components.core.params import Checks


def test_every_check_has_its_expectations(params: Checks) -> None:
    suite = episode_suite(params)
    for check in CHECKS:
        columns = [e.kwargs["column"] for e in suite if e.meta["code"] == check.code]
        assert columns == [rule.column for rule in check.rules]


def test_no_expectation_is_asked_twice(params: Checks) -> None:
    """Findings are told apart by type and column."""
    keys = [(e.type, e.kwargs["column"]) for e in episode_suite(params)]
    assert len(keys) == len(set(keys))


def test_thresholds_and_severities_are_the_params(params: Checks) -> None:
    changed = params.model_copy(update={"state_jump_max_m": 0.123, "warn": ("nan", "state_jump")})
    (jump,) = [e for e in episode_suite(changed) if e.kwargs.get("max_value") == 0.123]
    assert jump.kwargs["column"] == "state_jump_m"
    assert jump.meta == {"code": "state_jump", "severity": "warn", "limit": 0.123}
    assert {e.meta["code"] for e in episode_suite(changed) if e.meta["severity"] == "warn"} == {"nan", "state_jump"}


def test_a_lag_may_be_neither_negative_nor_long(params: Checks) -> None:
    (lag,) = [e for e in episode_suite(params) if e.kwargs["column"] == "action_lag_frames" and "max_value" in e.kwargs]
    assert (lag.kwargs["min_value"], lag.kwargs["max_value"]) == (0.0, params.action_lag_max_frames)


def test_a_severity_for_an_unknown_check_is_refused(params: Checks) -> None:
    with pytest.raises(ParamsError, match="no check jitter") as caught:
        episode_suite(params.model_copy(update={"warn": ("clock_jitter", "jitter")}))
    assert caught.value.where == "checks.warn"
    assert "clock_jitter" in str(caught.value.hint)


def test_every_param_that_a_rule_names_exists_and_every_threshold_is_used(params: Checks) -> None:
    used = {rule.param for check in CHECKS for rule in check.rules if rule.param}
    by_reducer = {"black_level"}
    by_dataset = {"min_episodes_per_task", "max_quarantined_share"}
    assert used | by_reducer | by_dataset | {"warn"} == set(Checks.model_fields)
    assert all(isinstance(bound(r, params), float) for c in CHECKS for r in c.rules if r.kind != "empty")


def test_the_digest_follows_every_number_and_nothing_else(params: Checks) -> None:
    def digest(of: Checks) -> str:
        return suite_digest(episode_suite(of), task_suite(of), verdict_suite(of))

    same = params.model_copy()
    others = [
        {"min_frames": 9},
        {"warn": ("clock_jitter",)},
        {"min_episodes_per_task": 6},
        {"max_quarantined_share": 0.3},
    ]
    digests = {digest(params.model_copy(update=change)) for change in others}
    assert digest(same) == digest(params)
    assert len(digests | {digest(params)}) == 5


def test_the_codes_that_recordings_are_planted_with_are_known() -> None:
    planted = {"nan", "frozen_camera", "black_frames", "idle", "clock_backwards", "state_jump", "missing_language"}
    assert planted | {"dropped_frames"} <= set(CODES)
