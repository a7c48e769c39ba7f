"""Frames -> one row an episode: the only part of the checks that looks at every frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from components.checks import clocks, measure
from components.checks.lag import action_lag
from components.core.spec import Embodiment

STATE = "observation.state"
ACTION = "action"
TIME = "observation.time"

# Copied from episodes.parquet: what a person needs to find the recording again, and what duplicates are told by.
IDENTITY = (
    "episode_id",
    "episode_index",
    "source_uri",
    "task",
    "robot_id",
    "collector_id",
    "site",
    "recorded_at",
    "pixel_sha256",
)


@dataclass(frozen=True)
class Meta:
    """What the frames do not say: the episode's row of episodes.parquet, the ticks per second, the robot.

    `black_level`: mean brightness (0..255) below which a picture counts as black; `nominal_hz`: stream name -> rate
    that such streams have elsewhere, for those that lost too much to tell.
    """

    row: Mapping[str, Any]
    fps: float
    embodiment: Embodiment
    black_level: float
    nominal_hz: Mapping[str, float] = field(default_factory=dict)


def reduce_episode(
    frames: Mapping[str, npt.NDArray[Any]],
    images: Mapping[str, npt.NDArray[np.uint8]],
    stream_rows: Sequence[clocks.StreamRow],
    meta: Meta,
) -> dict[str, Any]:
    """One row of the episode table; every number in it is finite.

    `frames`: feature key -> [T, D], with "observation.state", "action" and "observation.time"; `images`: camera ->
    uint8 [T, H, W, 3]; `stream_rows`: the episode's rows of streams.parquet.
    """
    state, action, time_s = frames[STATE], frames[ACTION], frames[TIME].reshape(-1)
    hand = state[:, _metre_columns(meta.embodiment)]
    moved_m = measure.steps(hand)
    return {
        **{name: meta.row[name] for name in IDENTITY},
        **_words(meta),
        "length": len(state),
        "nan_count": measure.bad_numbers(*frames.values())
        + int(sum(clocks.number(r, "nan_count") for r in stream_rows)),
        **_motion(state, action, hand, moved_m, meta),
        **_clocks(stream_rows, time_s, meta),
        **_pictures(images, moved_m, meta.black_level),
        "motion_sha256": measure.motion_sha256(state, action),
    }


def _metre_columns(embodiment: Embodiment) -> list[int]:
    """Which dimensions of the state are positions; all of them where no unit is metres."""
    units = embodiment.observation.state_units
    return [column for column, unit in enumerate(units) if unit == "m"] or list(range(len(units)))


def _words(meta: Meta) -> dict[str, Any]:
    words = str(meta.row["instruction"] or "").split()
    return {"instruction_words": len(words), "instruction_chars": sum(map(len, words)) + max(0, len(words) - 1)}


def _motion(
    state: measure.Floats, action: measure.Floats, hand: measure.Floats, moved_m: measure.Floats, meta: Meta
) -> dict[str, Any]:
    spec = meta.embodiment.action
    lag, score = action_lag(hand, action, meta.embodiment)
    return {
        "motion_m": measure.reach(hand),
        "path_m": float(moved_m.sum()),
        "idle_share": float((moved_m < measure.MOVING_M).mean()) if len(moved_m) else 1.0,
        "state_jump_m": float(moved_m.max(initial=0.0)) if "m" in meta.embodiment.observation.state_units else 0.0,
        "action_jump": float(measure.steps(action).max(initial=0.0)),
        "action_out_of_range_share": measure.share_outside(action, spec.low, spec.high),
        "action_lag_frames": lag,
        "action_lag_score": score,
        "constant_state_dims": measure.constant_columns(state),
        "constant_action_dims": measure.constant_columns(action),
    }


def _clocks(rows: Sequence[clocks.StreamRow], time_s: npt.NDArray[np.float64], meta: Meta) -> dict[str, Any]:
    rate_hz = clocks.action_rate_hz(rows, time_s)
    return {
        "clock_backwards": clocks.backwards(rows, time_s),
        "clock_stopped": clocks.stopped(rows, time_s),
        "clock_jitter": clocks.jitter(rows),
        "max_gap_s": clocks.longest_gap_s(rows),
        "dropped_share": clocks.dropped_share(rows, meta.nominal_hz),
        "misalignment_ms": clocks.misalignment_ms(rows),
        "action_rate_hz": rate_hz,
        "rate_error": max(
            clocks.rate_error(rate_hz, meta.embodiment.action.rate_hz),
            clocks.rate_error(clocks.tick_rate_hz(time_s), meta.fps),
        ),
    }


def _pictures(
    images: Mapping[str, npt.NDArray[np.uint8]], moved_m: measure.Floats, black_level: float
) -> dict[str, Any]:
    """Per camera, and the worst camera of each, which is what the suite judges."""
    found: dict[str, Any] = {}
    worst = {"frozen_share": 0.0, "black_share": 0.0}
    for camera in sorted(images):
        light = measure.brightness(images[camera])
        changes = measure.differences(images[camera])
        shares = {
            "frozen_share": measure.frozen_share(changes, moved_m, light >= black_level),
            "black_share": float((light < black_level).mean()) if len(light) else 0.0,
        }
        found.update({f"{name}_{camera}": share for name, share in shares.items()})
        found[f"brightness_{camera}"] = float(light.mean()) if len(light) else 0.0
        found[f"repeated_frames_{camera}"] = int((changes <= measure.SAME_PICTURE).sum())
        worst = {name: max(worst[name], share) for name, share in shares.items()}
    return {**worst, **found}
