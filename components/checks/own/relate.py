"""Measures -> what is judged: every row against what is usual in its dataset, its task, its robot's past."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa

from components.checks.own.clocks import clocks
from components.checks.own.copies import copies
from components.checks.own.drift import drift
from components.checks.own.dynamics import dynamics
from components.checks.own.motion import motion
from components.checks.own.outlier import outlier
from components.checks.own.pictures import pictures
from components.checks.own.rows import Rows
from components.checks.own.words import words
from components.core.params import Checks
from components.core.spec import Embodiment

# Copied from the dataset: what a person needs to find the recording again, and what groups are made by.
IDENTITY = (
    "episode_id",
    "episode_index",
    "source_uri",
    "source_format",
    "task",
    "instruction",
    "robot_id",
    "collector_id",
    "site",
    "scene",
    "recorded_at",
    "outcome",
    "split",
)


def relate(measured: pa.Table, body: Embodiment, params: Checks, *, fps: float) -> pd.DataFrame:
    """One row an episode, in the order of `measured`: identity, all single numbers, and what comparing gives."""
    rows = Rows(measured, body)
    columns: dict[str, Any] = {name: rows.text(name) for name in IDENTITY if name != "episode_index"}
    columns["episode_index"] = measured["episode_index"].to_numpy()
    for field in measured.schema:
        if pa.types.is_floating(field.type):
            columns[field.name] = rows.number(field.name)
    columns |= clocks(rows, fps) | words(rows, params) | motion(rows) | dynamics(rows) | pictures(rows)
    columns |= drift(rows) | outlier(rows) | copies(rows, params.idle_motion_m if rows.channels.has_metres else 0.0)
    return pd.DataFrame(columns)
