"""Commands and motion against the dataset's own dynamics: lag, disagreement, and dimensions in the wrong order."""

from __future__ import annotations

import numpy as np

from components.checks.measure.coupling import LAGS
from components.checks.own.gains import unexplained
from components.checks.own.order import wrong_order
from components.checks.own.rows import FEWEST, Floats, Rows

# Below this correlation the commands do not explain the motion at any shift, and no lag can be told.
_SURE = 0.5
# How much better another lag must fit than the usual one.
_BETTER = 0.05


def dynamics(rows: Rows) -> dict[str, Floats]:
    """Columns [N], 0 where nothing can be told.

    `action_lag_frames`: ticks from a command to the motion that it explains best; `action_lag_error`: how far that is
    from what is usual in the dataset, where it fits clearly better; `action_unexplained`: see `gains.unexplained`;
    `action_contradicted`: the same without comparing an episode with itself; `wrong_order`: see `order.wrong_order`.
    """
    contradicted, beyond = unexplained(rows) if rows.can_compare else (np.zeros(len(rows)), np.zeros(len(rows)))
    scores = rows.vector("lag_scores")
    # Of equals the smallest shift.
    best = np.argmax(scores - 1e-9 * np.abs(LAGS), axis=1)
    sure = scores.max(axis=1) >= _SURE
    return {
        "action_lag_frames": np.where(sure, LAGS[best], 0).astype(np.float64),
        "action_lag_error": _lag_error(scores, best, sure),
        "action_unexplained": beyond,
        "action_contradicted": contradicted,
        "wrong_order": wrong_order(rows),
    }


def _lag_error(scores: Floats, best: np.ndarray, sure: np.ndarray) -> Floats:
    if sure.sum() < FEWEST:
        return np.zeros(len(scores))
    usual = int(np.median(best[sure]))
    clearly = scores.max(axis=1) - scores[:, usual] > _BETTER
    return np.where(sure & clearly, np.abs(best - usual), 0.0).astype(np.float64)
