"""Which function looks for which code."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from components.checks.locate import cameras, coupled, numbers, streams, whole
from components.checks.locate.subject import Place, Subject

LOCATORS: Mapping[str, Callable[[Subject], list[Place]]] = {
    "nan": numbers.nan,
    "missing_stream": streams.missing_stream,
    "missing_language": whole.missing_language,
    "too_short": whole.too_short,
    "idle": numbers.idle,
    "frozen_camera": cameras.frozen_camera,
    "black_frames": cameras.black_frames,
    "blurred": cameras.blurred,
    "exposure": cameras.exposure,
    "dropped_frames": streams.dropped_frames,
    "duplicate_frames": cameras.duplicate_frames,
    "clock_backwards": streams.clock_backwards,
    "clock_stopped": streams.clock_stopped,
    "clock_jitter": streams.clock_jitter,
    "rate_mismatch": streams.rate_mismatch,
    "stream_misaligned": streams.stream_misaligned,
    "action_out_of_range": numbers.action_out_of_range,
    "action_jump": coupled.action_jump,
    "state_jump": numbers.state_jump,
    "joint_limit": numbers.joint_limit,
    "unit_mismatch": numbers.unit_mismatch,
    "constant_dim": numbers.constant_dim,
    "gripper_inverted": numbers.gripper_inverted,
    "action_state_disagree": coupled.action_state_disagree,
    "wrong_dim_order": coupled.wrong_dim_order,
    "duplicate_episode": whole.duplicate_episode,
    "split_leak": whole.split_leak,
    "instruction_mismatch": whole.instruction_mismatch,
    "outlier_episode": whole.outlier_episode,
    "no_consent": whole.no_consent,
    "licence_forbids": whole.licence_forbids,
    "camera_swapped": cameras.camera_swapped,
    "calibration_drift": whole.calibration_drift,
    "unmeasured": whole.unmeasured,
}


def locate(subject: Subject, code: str) -> list[Place]:
    """The places of what a code found, at least one: the episode as such where nothing is more exact."""
    found = LOCATORS[code](subject) if code in LOCATORS else []
    return found or [Place("episode", "", "the number is of the whole episode, and no part of it stands out")]
