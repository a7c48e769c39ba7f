"""An episode against the others of its task: a demonstration that is unlike all others."""

from __future__ import annotations

import numpy as np

from components.checks.own.rows import Floats, Rows, deviation

# What is compared, and the least spread that counts: ratios in logarithms, shares as they are.
_FEATURES = (
    ("length", True, 0.1),
    ("path", True, 0.1),
    ("motion", True, 0.1),
    ("speed", True, 0.1),
    ("idle_share", False, 0.1),
    ("path_efficiency", False, 0.05),
    ("ldlj", False, 0.5),
)


def outlier(rows: Rows) -> dict[str, Floats]:
    """`outlier_score` [N]: how many robust standard deviations the oddest feature is from its task.

    `odd_<feature>` [N]: the same of each feature, with its sign. 0 for too few episodes.
    """
    found = {f"odd_{name}": np.zeros(len(rows)) for name, *_ in _FEATURES}
    if rows.can_compare:
        for name, is_ratio, floor in _FEATURES:
            values = _speed(rows) if name == "speed" else rows.number(name)
            values = np.log(np.maximum(values, 1e-9)) if is_ratio else values
            found[f"odd_{name}"] = np.nan_to_num(deviation(values, rows.tasks, floor))
        for camera in rows.body.observation.cameras:
            light = np.log(np.maximum(rows.number(f"brightness_{camera}"), 1.0))
            found[f"odd_brightness_{camera}"] = deviation(light, rows.tasks, 0.05)
    return {"outlier_score": np.max(np.abs(list(found.values())), axis=0), **found}


def _speed(rows: Rows) -> Floats:
    return rows.number("path") / np.maximum(rows.number("length") - 1, 1.0)
