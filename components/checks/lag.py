"""By how many ticks motion follows the commands: timestamps that lie look in order, but the motion tells."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.checks.measure import Floats
from components.core.spec import Embodiment

# Shifts looked at, in ticks to either side.
MAX_LAG = 5
# Below this correlation the commands do not explain the motion at any shift, and no lag can be told.
SURE = 0.6
_MIN_TICKS = 2 * MAX_LAG + 4


def action_lag(hand: Floats, action: Floats, embodiment: Embodiment) -> tuple[int, float]:
    """Ticks from a command to the motion that it explains best, and how well: a correlation in -1..1.

    `hand`: float32 [T, P] positions; `action`: float32 [T, A]. An arm that follows within a tick has a lag of 0 or 1; a
    negative one says that it moves before it is told to. (0, 0.0) where no lag can be told: too few ticks, no group of
    step deltas of P dimensions, no motion, or motion that the commands explain at no shift.
    """
    columns = _delta_columns(embodiment, hand.shape[1])
    if len(hand) < _MIN_TICKS or columns is None:
        return 0, 0.0
    with np.errstate(invalid="ignore"):
        velocity = np.diff(hand.astype(np.float64), axis=0)
    command = action[:-1, columns].astype(np.float64)
    scores = {lag: _correlation(command, velocity, lag) for lag in range(-MAX_LAG, MAX_LAG + 1)}
    best = max(scores, key=lambda lag: (scores[lag], -abs(lag)))
    return (best, scores[best]) if scores[best] >= SURE else (0, 0.0)


def _delta_columns(embodiment: Embodiment, positions: int) -> slice | None:
    start = 0
    for group in embodiment.action.groups:
        if group.representation == "step_delta" and len(group.names) == positions:
            return slice(start, start + positions)
        start += len(group.names)
    return None


def _correlation(command: npt.NDArray[np.float64], velocity: npt.NDArray[np.float64], lag: int) -> float:
    """Pearson correlation of command[t] with velocity[t + lag] over all dimensions, each about its own mean."""
    size = len(command) - abs(lag)
    one, other = command[max(0, -lag) :][:size], velocity[max(0, lag) :][:size]
    usable = np.isfinite(one).all(axis=1) & np.isfinite(other).all(axis=1)
    if usable.sum() < 2:
        return 0.0
    one, other = one[usable] - one[usable].mean(axis=0), other[usable] - other[usable].mean(axis=0)
    scale = float(np.sqrt((one**2).sum()) * np.sqrt((other**2).sum()))
    return float((one * other).sum()) / scale if scale > 0 else 0.0
