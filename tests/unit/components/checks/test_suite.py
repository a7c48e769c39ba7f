"""Expectations made of params."""

from __future__ import annotations

import pytest

from components.checks.codes import CHECKS, CODES, NEEDS
from components.checks.limits import limit_suites
from components.checks.profile import Bins
from components.checks.suite import LIMITS, bound, episode_suite, suite_digest
from components.core.errors import ParamsError
from components.core.params import Checks

CAN = frozenset(NEEDS)


def test_every_check_has_its_expectations(params: Checks) -> None:
    suite = episode_suite(params, CAN)
    for check in CHECKS:
        columns = [e.kwargs["column"] for e in suite if e.meta["code"] == check.code]
        assert columns == [rule.column for rule in check.rules]


def test_no_expectation_is_asked_twice(params: Checks) -> None:
    """Findings are told apart by type and column."""
    keys = [(e.type, e.kwargs["column"]) for e in episode_suite(params, CAN)]
    assert len(keys) == len(set(keys))


def test_thresholds_and_severities_are_the_params(params: Checks) -> None:
    changed = params.model_copy(update={"state_jump_max": 1.23, "warn": ("nan", "state_jump")})
    (jump,) = [e for e in episode_suite(changed, CAN) if e.kwargs.get("max_value") == 1.23]
    assert jump.kwargs["column"] == "state_jump"
    assert jump.meta == {"code": "state_jump", "severity": "warn", "limit": 1.23}
    hints = {rule.column for check in CHECKS for rule in check.rules if rule.warns}
    warned = {e.kwargs["column"] for e in episode_suite(changed, CAN) if e.meta["severity"] == "warn"}
    assert warned == {"nan_count", "state_jump"} | hints
    assert hints == {"action_unexplained"}


def test_what_a_robot_does_not_have_is_not_asked(params: Checks) -> None:
    every, none = (episode_suite(params, can) for can in (CAN, frozenset[str]()))
    needed = [rule.column for check in CHECKS for rule in check.rules if rule.needs]
    assert {e.kwargs["column"] for e in every} - {e.kwargs["column"] for e in none} == set(needed)


def test_a_severity_for_an_unknown_check_is_refused(params: Checks) -> None:
    with pytest.raises(ParamsError, match="no check jitter") as caught:
        episode_suite(params.model_copy(update={"warn": ("clock_jitter", "jitter", "max_drift")}), CAN)
    assert caught.value.where == "checks.warn"
    assert "clock_jitter" in str(caught.value.hint)


def test_every_param_that_a_rule_names_exists_and_every_threshold_is_used(params: Checks) -> None:
    used = {rule.param for check in CHECKS for rule in check.rules if rule.param}
    by_measuring = {"black_level", "licences_forbidden"}
    by_dataset = set(LIMITS) - {"instruction_mismatch_rate"} | {"min_phrasings_per_task"}
    assert used | by_measuring | by_dataset | {"warn"} == set(Checks.model_fields)
    assert all(isinstance(bound(r, params), float) for c in CHECKS for r in c.rules if r.kind != "empty")


def test_the_digest_follows_every_number_and_nothing_else(params: Checks) -> None:
    def digest(of: Checks) -> str:
        return suite_digest(episode_suite(of, CAN), *limit_suites(of, {"": Bins((), (0,))}).values())

    limits = [name for name in Checks.model_fields if name.startswith(("min_", "max_"))]
    others = [{name: getattr(params, name) + 1} for name in limits]
    digests = {digest(params.model_copy(update=change)) for change in (*others, {"warn": ("clock_jitter",)})}
    assert digest(params.model_copy()) == digest(params)
    assert len(digests | {digest(params)}) == len(limits) + 2


def test_the_codes_that_recordings_are_planted_with_are_known() -> None:
    planted = {"nan", "frozen_camera", "black_frames", "idle", "clock_backwards", "state_jump", "missing_language"}
    assert planted | {"dropped_frames"} <= set(CODES)
