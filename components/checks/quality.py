"""How good a demonstration each episode is, as one number in 0..1 that says why.

    motion  = 0.3 smooth + 0.3 direct + 0.2 busy + 0.2 brisk
    quality = sqrt(motion * outcome)

smooth, direct, busy and brisk say which share of the episodes of its task an episode surpasses, those that equal it
counted by half: in log dimensionless jerk, in the straight way over the way gone, in time without standstill, and in
being done early. Tasks differ in all four, so a number is never compared across tasks that have enough episodes. Ranks
need no unit and no outlier moves them; they do not say by how much one episode is better. outcome is what people or a
simulator said of the end. The geometric mean lets neither buy the other back: no failure comes above 0.32.

Smoothness is the jerk freed of duration and size of the movement (Hogan & Sternad 2009, "Sensitivity of smoothness
measures to movement duration, amplitude, and arrests", J. Motor Behavior 41), as a logarithm (Balasubramanian et al.
2015, "On the analysis of movement smoothness", J. NeuroEngineering and Rehabilitation 12:112).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

# Part of the motion -> its column of the episode table, and whether more of it is better.
_COLUMNS = {
    "quality_smooth": ("ldlj", True),
    "quality_direct": ("path_efficiency", True),
    "quality_busy": ("idle_share", False),
    "quality_brisk": ("length", False),
}
# Standstill also makes an episode long: busy and brisk partly say the same.
MOTION_WEIGHTS = {"quality_smooth": 0.3, "quality_direct": 0.3, "quality_busy": 0.2, "quality_brisk": 0.2}
OUTCOMES = {"success": 1.0, "partial": 0.5, "failure": 0.1, "abort": 0.1, "invalid": 0.0}
# Of what nobody measured or said: neither good nor bad.
NEUTRAL = 0.5
# With fewer measured episodes than that a task is compared with all.
MIN_TASK_EPISODES = 8


def quality(table: pd.DataFrame) -> pd.Series:
    """float64 in 0..1, one an episode, whatever the order of the rows. `table`: see `quality_parts`."""
    return combined(quality_parts(table))


def quality_parts(table: pd.DataFrame) -> pd.DataFrame:
    """What the quality is made of: a column in 0..1 a part, `NEUTRAL` where a number is missing or not finite.

    `table`: one row an episode with `task`, `outcome`, `ldlj`, `path_efficiency`, `idle_share` and `length`.
    """
    parts = {name: _standing(table[column], table["task"], more) for name, (column, more) in _COLUMNS.items()}
    outcome = table["outcome"].map(OUTCOMES).astype("float64").fillna(NEUTRAL)
    return pd.DataFrame({**parts, "quality_outcome": outcome}, index=table.index)


def combined(parts: pd.DataFrame) -> pd.Series:
    """The quality that the parts make; more of a part is never less of it."""
    motion = sum((weight * parts[name] for name, weight in MOTION_WEIGHTS.items()), pd.Series(0.0, parts.index))
    return (motion * parts["quality_outcome"]).pow(0.5).clip(0.0, 1.0).rename("quality")


def _standing(column: pd.Series, task: pd.Series, more_is_better: bool) -> pd.Series:
    """Share of the measured episodes of its task, or of all where these are few, that each surpasses."""
    values = pd.to_numeric(column).astype("float64").replace([np.inf, -np.inf], np.nan)
    values = values if more_is_better else -values
    # An index may name two rows alike, a place may not.
    values, names = values.reset_index(drop=True), task.reset_index(drop=True).astype("str")
    groups = values.groupby(names)
    counts = groups.transform("count")
    own = (groups.rank() - 0.5) / counts
    among_all = (values.rank() - 0.5) / values.count()
    return own.where(counts >= MIN_TASK_EPISODES, among_all).fillna(NEUTRAL).set_axis(column.index)


def with_quality(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the score and its parts beside it."""
    parts = quality_parts(table)
    return pd.concat([table, parts, combined(parts)], axis=1)
