"""Every check: its code, what it judges by which number, and what it needs. `docs/checks/CODE.md` says the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["at_most", "at_least", "up_to", "empty"]
Severity = Literal["error", "warn"]
# What a robot must have or declare for a check to make sense; see `channels.Channels.can`.
NEEDS = {
    "metres": "no part of its state is in metres",
    "limits": "its state declares no limits",
    "gripper": "no gripper declares what is open and closed",
    "commands": "no command is known to move a part of its state",
    "camera": "it has no camera",
    "cameras": "it has one camera at most",
}


@dataclass(frozen=True)
class Rule:
    """What a column of the episode table must hold.

    `kind`: at most or at least the bound, from 0 up to the bound, or an empty string. The bound is the number
    that `param` names in params.checks; where no param is named it is `bound`, which is then part of what the check
    means. `needs`: a key of `NEEDS`, or nothing. `warns`: a hint that alone sets no episode aside.
    """

    column: str
    kind: Kind
    param: str = ""
    bound: float = 0.0
    needs: str = ""
    warns: bool = False


@dataclass(frozen=True)
class Check:
    """`meaning` completes "the episode is set aside because ..."."""

    code: str
    rules: tuple[Rule, ...]
    meaning: str


# How many of the judged columns hold no value in a row.
UNMEASURED = "unmeasured"
# Judged task by task, not episode by episode: see `limits.limit_suites`.
PHRASINGS = "instruction_mismatch_rate"
# Episodes without which nothing is usual, and the checks that then say nothing.
FEWEST = 8
COMPARED = (
    "blurred",
    "exposure",
    "state_jump",
    "constant_dim",
    "gripper_inverted",
    "action_state_disagree",
    "wrong_dim_order",
    "outlier_episode",
    "camera_swapped",
    "calibration_drift",
)

CHECKS: tuple[Check, ...] = (
    Check("nan", (Rule("nan_count", "at_most"),), "a number is NaN or infinite"),
    Check(
        "missing_stream",
        (
            Rule("missing_streams", "at_most"),
            Rule("stream_gone_share", "at_most", "stream_gone_max"),
            Rule("even_share", "at_most", "even_share_max", needs="camera"),
        ),
        "a stream is not there, or not for the whole episode",
    ),
    Check(
        "missing_language", (Rule("instruction_words", "at_least", "min_instruction_words"),), "nothing says what to do"
    ),
    Check("too_short", (Rule("length", "at_least", "min_frames"),), "it has too few ticks"),
    Check(
        "idle",
        (
            Rule("motion", "at_least", "idle_motion_m", needs="metres"),
            Rule("motion_ratio", "at_least", "idle_motion_ratio"),
        ),
        "the hand stays where it started",
    ),
    Check(
        "frozen_camera",
        (Rule("frozen_share", "at_most", "frozen_share_max", needs="camera"),),
        "a camera shows one picture while the hand moves",
    ),
    Check("black_frames", (Rule("black_share", "at_most", "black_share_max", needs="camera"),), "a camera is dark"),
    Check("blurred", (Rule("blur", "at_most", "blur_max", needs="camera"),), "a camera is out of focus"),
    Check(
        "exposure",
        (Rule("exposure_stops", "at_most", "exposure_stops_max", needs="camera"),),
        "a camera is too dark or too bright",
    ),
    Check(
        "dropped_frames",
        (Rule("dropped_share", "at_most", "dropped_share_max"),),
        "a stream lacks samples that its rate promises",
    ),
    Check(
        "duplicate_frames",
        (Rule("repeated_share", "at_most", "repeated_share_max", needs="camera"),),
        "a camera sends pictures twice",
    ),
    Check("clock_backwards", (Rule("clock_backwards", "at_most"),), "a clock steps back"),
    Check("clock_stopped", (Rule("clock_stopped", "at_most"),), "two samples in a row carry one time"),
    Check("clock_jitter", (Rule("clock_jitter", "at_most", "clock_jitter_max"),), "samples come unevenly"),
    Check("rate_mismatch", (Rule("rate_error", "at_most", "rate_tolerance"),), "commands come at another rate"),
    Check(
        "stream_misaligned",
        (
            Rule("misalignment_ms", "at_most", "misalignment_max_ms"),
            Rule("action_lag_error", "at_most", "action_lag_max_frames", needs="commands"),
        ),
        "what belongs to one tick was not measured at one time",
    ),
    Check("action_out_of_range", (Rule("action_out_of_range_share", "at_most"),), "a command exceeds its limits"),
    Check("action_jump", (Rule("leap", "at_most", "action_leap_max"),), "commands leap for single ticks"),
    Check("state_jump", (Rule("state_jump", "at_most", "state_jump_max"),), "the robot is suddenly elsewhere"),
    Check("joint_limit", (Rule("joint_limit_share", "at_most", needs="limits"),), "a measured place is out of reach"),
    Check("unit_mismatch", (Rule("unit_ratio", "at_most", "unit_ratio_max"),), "numbers are in another unit"),
    Check("constant_dim", (Rule("stuck_excess", "at_most", "stuck_excess_max"),), "a sensor keeps its value"),
    Check(
        "gripper_inverted",
        (Rule("gripper_inverted", "at_most", "gripper_inverted_max", needs="gripper"),),
        "the gripper does the opposite of the usual",
    ),
    Check(
        "action_state_disagree",
        (
            Rule("action_contradicted", "at_most", "action_contradicted_max", needs="commands"),
            Rule("action_unexplained", "at_most", "action_unexplained_max", needs="commands", warns=True),
        ),
        "the robot does not do what it is told",
    ),
    Check(
        "wrong_dim_order",
        (Rule("wrong_order", "at_most", "wrong_order_max"),),
        "two dimensions are in each other's place",
    ),
    Check("duplicate_episode", (Rule("duplicate_of", "empty"),), "an earlier episode is the same recording"),
    Check("split_leak", (Rule("leak_of", "empty"),), "the same recording is on the other side of the split"),
    Check("instruction_mismatch", (Rule("foreign_instruction", "at_most"),), "its instruction is that of another task"),
    Check(
        "outlier_episode",
        (Rule("outlier_score", "at_most", "outlier_score_max"),),
        "it is unlike the others of its task",
    ),
    Check("no_consent", (Rule("consent", "at_least", bound=1),), "no consent of its collector is on record"),
    Check("licence_forbids", (Rule("licence_forbids", "at_most"),), "its licence forbids this use"),
    Check(
        "camera_swapped",
        (Rule("camera_swap", "at_most", "camera_swap_max", needs="cameras"),),
        "a camera shows what another one sees",
    ),
    Check(
        "calibration_drift",
        (Rule("calibration_drift", "at_most", "calibration_drift_max"),),
        "its robot is measured off from what it was",
    ),
    # Great Expectations passes over nulls, and a number that could not be measured is no pass.
    Check("unmeasured", (Rule(UNMEASURED, "at_most"),), "a number that is to be judged is missing"),
)
JUDGED: tuple[str, ...] = tuple(rule.column for check in CHECKS for rule in check.rules if rule.column != UNMEASURED)
CODES: tuple[str, ...] = tuple(check.code for check in CHECKS)


def rules(can: frozenset[str]) -> list[tuple[Check, Rule]]:
    """Those that apply to a robot."""
    return [(check, rule) for check in CHECKS for rule in check.rules if not rule.needs or rule.needs in can]


def not_judged(can: frozenset[str], episodes: int) -> dict[str, str]:
    """Code -> why no rule of it applies to a robot, or says anything in a dataset of so few episodes."""
    applied = {check.code for check, _ in rules(can)}
    absent = {check.code: NEEDS[check.rules[0].needs] for check in CHECKS if check.code not in applied}
    if episodes >= FEWEST:
        return absent
    few = f"the dataset has fewer than {FEWEST} episodes: nothing is usual in it"
    return absent | {code: few for code in COMPARED if code not in absent}
