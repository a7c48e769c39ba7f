"""The expectations as data, made from the params. `gx.py` hands them to Great Expectations, which judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from components.checks.codes import CHECKS, CODES, Rule, Severity
from components.core.errors import ParamsError
from components.core.files import digest_json
from components.core.params import Checks

# Limits of the dataset as a whole, by the param that sets them.
MIN_EPISODES = "min_episodes_per_task"
MAX_QUARANTINED = "max_quarantined_share"


@dataclass(frozen=True)
class Expectation:
    """One expectation of Great Expectations: `type` in its snake_case spelling, `kwargs` as its class takes them."""

    type: str
    kwargs: dict[str, Any]
    meta: dict[str, Any] = field(default_factory=dict)


def episode_suite(params: Checks) -> list[Expectation]:
    """What every row of the episode table must fulfil. Raises `ParamsError` where params.warn names no check."""
    unknown = sorted(set(params.warn) - set(CODES))
    if unknown:
        raise ParamsError(f"no check {', '.join(unknown)}", where="checks.warn", hint=f"Known: {', '.join(CODES)}")
    suite = []
    for check in CHECKS:
        severity: Severity = "warn" if check.code in params.warn else "error"
        for rule in check.rules:
            limit = bound(rule, params)
            meta = {"code": check.code, "severity": severity, "limit": limit}
            suite.append(_expectation(rule, limit, meta))
    return suite


def bound(rule: Rule, params: Checks) -> float | None:
    """The number that a rule compares with; None where it compares with none."""
    if rule.kind == "empty":
        return None
    return float(getattr(params, rule.param) if rule.param else rule.bound)


def _expectation(rule: Rule, limit: float | None, meta: dict[str, Any]) -> Expectation:
    if limit is None:
        return Expectation("expect_column_values_to_be_in_set", {"column": rule.column, "value_set": [""]}, meta)
    bounds = {
        "at_most": {"max_value": limit},
        "at_least": {"min_value": limit},
        "up_to": {"min_value": 0.0, "max_value": limit},
    }[rule.kind]
    return Expectation("expect_column_values_to_be_between", {"column": rule.column, **bounds}, meta)


def task_suite(params: Checks) -> list[Expectation]:
    """Over a table of one row per task, with the number of its accepted episodes."""
    limit = float(params.min_episodes_per_task)
    meta = {"code": MIN_EPISODES, "severity": "error", "limit": limit}
    return [Expectation("expect_column_values_to_be_between", {"column": "accepted", "min_value": limit}, meta)]


def verdict_suite(params: Checks) -> list[Expectation]:
    """Over a table of one row per episode, with 1 where it is quarantined."""
    limit = params.max_quarantined_share
    meta = {"code": MAX_QUARANTINED, "severity": "error", "limit": limit}
    return [Expectation("expect_column_mean_to_be_between", {"column": "quarantined", "max_value": limit}, meta)]


def suite_digest(*suites: Sequence[Expectation]) -> str:
    """Identifies what was asked of the data, whatever version of the library asked it."""
    return digest_json([[asdict(expectation) for expectation in suite] for suite in suites])
