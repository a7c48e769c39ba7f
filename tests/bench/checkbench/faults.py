"""Every fault of the table in `docs/checks.md`, by its code and in its order."""

from __future__ import annotations

from checkbench import clocks, demonstrations, looks, samples, words
from checkbench.parts import Fault

STRENGTHS = ("weak", "middle", "strong")

FAULTS: dict[str, Fault] = {
    "nan": samples.nan,
    "missing_stream": clocks.missing_stream,
    "missing_language": words.missing_language,
    "too_short": demonstrations.too_short,
    "idle": demonstrations.idle,
    "frozen_camera": looks.frozen_camera,
    "black_frames": looks.black_frames,
    "blurred": looks.blurred,
    "exposure": looks.exposure,
    "dropped_frames": clocks.dropped_frames,
    "duplicate_frames": looks.duplicate_frames,
    "clock_backwards": clocks.clock_backwards,
    "clock_stopped": clocks.clock_stopped,
    "clock_jitter": clocks.clock_jitter,
    "rate_mismatch": clocks.rate_mismatch,
    "stream_misaligned": clocks.stream_misaligned,
    "action_out_of_range": samples.action_out_of_range,
    "action_jump": samples.action_jump,
    "state_jump": samples.state_jump,
    "joint_limit": samples.joint_limit,
    "unit_mismatch": samples.unit_mismatch,
    "constant_dim": samples.constant_dim,
    "gripper_inverted": samples.gripper_inverted,
    "action_state_disagree": samples.action_state_disagree,
    "wrong_dim_order": samples.wrong_dim_order,
    "duplicate_episode": demonstrations.copied,
    "split_leak": demonstrations.copied,
    "instruction_mismatch": words.instruction_mismatch,
    "instruction_mismatch_rate": words.instruction_mismatch_rate,
    "outlier_episode": demonstrations.outlier_episode,
    "no_consent": words.no_consent,
    "licence_forbids": words.licence_forbids,
    "camera_swapped": looks.camera_swapped,
    "calibration_drift": samples.calibration_drift,
}
