"""Every check: its code, what it judges by which number, and what to do about it. `docs.md` says the same in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["at_most", "at_least", "up_to", "empty"]
Severity = Literal["error", "warn"]


@dataclass(frozen=True)
class Rule:
    """What a column of the episode table must hold.

    `kind`: at most or at least the bound, from 0 up to the bound, or an empty string. The bound is the number
    that `param` names in params.checks; where no param is named it is `bound`, which is then part of what the check
    means.
    """

    column: str
    kind: Kind
    param: str = ""
    bound: float = 0.0


@dataclass(frozen=True)
class Check:
    """`meaning` completes "the episode is set aside because ..."."""

    code: str
    rules: tuple[Rule, ...]
    meaning: str


# How many of the judged columns hold no value in a row.
UNMEASURED = "unmeasured"

CHECKS: tuple[Check, ...] = (
    Check("nan", (Rule("nan_count", "at_most"),), "a number is NaN or infinite"),
    Check("missing_language", (Rule("instruction_words", "at_least", bound=1),), "it has no instruction"),
    Check("too_short", (Rule("length", "at_least", "min_frames"),), "it has too few ticks"),
    Check("idle", (Rule("motion_m", "at_least", "idle_motion_m"),), "the hand stays where it started"),
    Check(
        "frozen_camera",
        (Rule("frozen_share", "at_most", "frozen_share_max"),),
        "a camera shows one picture while the hand moves",
    ),
    Check("black_frames", (Rule("black_share", "at_most", "black_share_max"),), "a camera is dark"),
    Check(
        "dropped_frames",
        (Rule("dropped_share", "at_most", "dropped_share_max"),),
        "a stream lacks samples that its rate promises",
    ),
    Check("clock_backwards", (Rule("clock_backwards", "at_most"),), "a clock steps back"),
    Check("clock_stopped", (Rule("clock_stopped", "at_most"),), "two samples in a row carry one time"),
    Check("clock_jitter", (Rule("clock_jitter", "at_most", "clock_jitter_max"),), "samples come unevenly"),
    Check("rate_mismatch", (Rule("rate_error", "at_most", "rate_tolerance"),), "commands come at another rate"),
    Check("state_jump", (Rule("state_jump_m", "at_most", "state_jump_max_m"),), "the hand is suddenly elsewhere"),
    Check("action_jump", (Rule("action_jump", "at_most", "action_jump_max"),), "the command leaps"),
    Check("action_out_of_range", (Rule("action_out_of_range_share", "at_most"),), "a command exceeds its limits"),
    Check(
        "stream_misaligned",
        (
            Rule("misalignment_ms", "at_most", "misalignment_max_ms"),
            Rule("action_lag_frames", "up_to", "action_lag_max_frames"),
        ),
        "what belongs to one tick was not measured at one time",
    ),
    # Great Expectations passes over nulls, and a number that could not be measured is no pass.
    Check("unmeasured", (Rule(UNMEASURED, "at_most"),), "a number that is to be judged is missing"),
    Check("duplicate_episode", (Rule("duplicate_of", "empty"),), "an earlier episode holds the same"),
)
JUDGED: tuple[str, ...] = tuple(rule.column for check in CHECKS for rule in check.rules if rule.column != UNMEASURED)
CODES: tuple[str, ...] = tuple(check.code for check in CHECKS)
