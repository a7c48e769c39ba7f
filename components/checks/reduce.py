"""Frames -> one row of numbers an episode: the only part of the checks that looks at every frame, and it looks once.

Nothing here knows another episode; what needs the rest of the dataset is in `own/`, which works on the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from components.checks.channels import TIME, Channels
from components.checks.measure import channels_of, coupling, motion
from components.checks.measure.fingerprint import fingerprint
from components.checks.measure.leaps import leap
from components.checks.measure.pictures import CameraFacts

# What the worst camera is judged by, and what is only shown.
WORST_CAMERA = ("frozen_share", "repeated_share", "black_share", "even_share")


class Reduction:
    """One episode on its way to a row. First the numbers, then every camera, then `row`.

    `frames`: feature key -> [T, D], with the columns of `channels` and "observation.time"; `black_level`: mean
    brightness (0..255) below which a picture counts as black.
    """

    def __init__(
        self, frames: Mapping[str, npt.NDArray[Any]], channels: Channels, *, fps: float, black_level: float
    ) -> None:
        raw = channels.matrix(dict(frames))
        values = channels_of.mended(raw)
        steps = values[1:] - values[:-1]
        hand = values[:, channels.hand]
        moved = motion.lengths(steps[:, channels.hand])
        action = values[:, channels.action]
        low, high = channels.low[channels.action], channels.high[channels.action]
        self._moving = moved >= channels.still
        self._black_level = black_level
        self._row: dict[str, Any] = {
            "length": len(values),
            "nan_count": channels_of.bad_numbers(raw) + channels_of.bad_numbers(frames[TIME]),
            "motion_sha256": channels_of.motion_sha256(raw),
            "fingerprint": fingerprint(action, low, high),
            "action_out_of_range_share": channels_of.share_outside(raw[:, channels.action], low, high),
            "joint_limit_share": channels_of.share_outside(
                values[:, channels.measured], channels.reach_low, channels.reach_high
            ),
            **_ticks(frames[TIME].reshape(-1)),
            **motion.motion(hand, moved, fps, channels.still),
            "leap": leap(values, steps, channels),
            **channels_of.vectors(values, steps),
            **channels_of.group_steps(steps, channels.steady_groups),
            "lag_scores": coupling.lag_scores(values, steps, channels),
            **coupling.sums(values, steps, channels),
            **coupling.gripper_levels(values, channels),
        }
        self._thumbs: list[npt.NDArray[np.float64]] = []

    def add_camera(self, name: str, facts: CameraFacts) -> None:
        found = facts.facts(self._moving, self._black_level)
        self._row |= {f"{what}_{name}": value for what, value in found.items()}
        for what in WORST_CAMERA:
            self._row[what] = max(self._row.get(what, 0.0), found[what])
        self._thumbs.append(facts.thumb())

    def row(self) -> dict[str, Any]:
        thumbs = np.concatenate(self._thumbs) if self._thumbs else np.zeros(0)
        return {**dict.fromkeys(WORST_CAMERA, 0.0), **self._row, "thumbs": thumbs}


def _ticks(time_s: npt.NDArray[np.float64]) -> dict[str, float]:
    """What the ticks of the dataset say about time."""
    gaps = time_s[1:] - time_s[:-1]
    step = float(np.median(gaps[np.isfinite(gaps)])) if np.isfinite(gaps).any() else 0.0
    return {
        "ticks_backwards": float((gaps < 0).sum()),
        "ticks_stopped": float((gaps == 0).sum()),
        "tick_rate_hz": 1.0 / step if step > 1e-9 else 0.0,
    }
