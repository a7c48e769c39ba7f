"""How the hand moves: how far, how straight, how smoothly."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def lengths(steps: Floats) -> Floats:
    """Euclidean length of each row of [N, D]."""
    return np.sqrt(np.einsum("nd,nd->n", steps, steps))


def motion(hand: Floats, moved: Floats, fps: float, still: float) -> dict[str, float]:
    """`hand` [T, P], `moved` [T - 1] its way in each tick, in metres or whatever the robot measures in.

    `ldlj`: log dimensionless jerk, higher is smoother (Hogan and Sternad, J. Mot. Behav. 41, 2009); NaN where nothing
    moves.
    """
    path = float(moved.sum())
    direct = float(np.linalg.norm(hand[-1] - hand[0]))
    return {
        "motion": float(np.sqrt(((hand - hand[0]) ** 2).sum(axis=1).max())),
        "path": path,
        "path_efficiency": direct / path if path > 0 else math.nan,
        "idle_share": float((moved < still).mean()) if len(moved) else 1.0,
        "ldlj": _ldlj(moved, fps),
    }


def _ldlj(moved: Floats, fps: float) -> float:
    speed = moved * fps
    peak = float(speed.max(initial=0.0))
    if len(speed) < 3 or peak <= 0:
        return math.nan
    jerk = np.diff(speed, n=2) * fps**2
    duration_s = len(speed) / fps
    return -math.log(max(1e-12, float((jerk**2).sum()) / fps * duration_s**3 / peak**2))
