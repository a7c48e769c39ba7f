"""The expectations as data, made from the params. `gx.py` hands them to Great Expectations, which judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from components.checks.codes import CODES, PHRASINGS, Rule, Severity, rules
from components.core.errors import ParamsError
from components.core.files import digest_json
from components.core.params import Checks

# Limits of the dataset as a whole; see `limits.py`.
MAX_QUARANTINED = "max_quarantined_share"
MAX_DRIFT = "max_drift"
LIMITS = (
    *("min_episodes_per_task", "min_robots_per_task", "min_sites_per_task", PHRASINGS),
    *("max_quarantined_share_of_robot", "max_quarantined_share_of_site"),
    *(MAX_QUARANTINED, "min_scenes", "min_instructions", MAX_DRIFT),
)


@dataclass(frozen=True)
class Expectation:
    """One expectation of Great Expectations: `type` in its snake_case spelling, `kwargs` as its class takes them."""

    type: str
    kwargs: dict[str, Any]
    meta: dict[str, Any] = field(default_factory=dict)


def episode_suite(params: Checks, can: frozenset[str]) -> list[Expectation]:
    """What every row of the episode table must fulfil; `can`: what can be judged of the robot.

    Raises `ParamsError` where params.warn names no check.
    """
    unknown = sorted(set(params.warn) - set(CODES) - set(LIMITS))
    if unknown:
        known = ", ".join((*CODES, *LIMITS))
        raise ParamsError(f"no check {', '.join(unknown)}", where="checks.warn", hint=f"Known: {known}")
    suite = []
    for check, rule in rules(can):
        severity: Severity = "warn" if rule.warns or check.code in params.warn else "error"
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


def suite_digest(*suites: Sequence[Expectation]) -> str:
    """Identifies what was asked of the data, whatever version of the library asked it."""
    return digest_json([[asdict(expectation) for expectation in suite] for suite in suites])
