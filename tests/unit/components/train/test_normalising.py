from __future__ import annotations

import numpy as np

from components.core.spec import SAWYER_CELL
from components.train.normalising import action_bounds


def test_quantiles_stay_within_the_limits_and_a_gripper_keeps_them():
    bounds = action_bounds(SAWYER_CELL, np.array([-0.5, -3.0, 0.1, -0.9]), np.array([0.5, 0.2, 0.1, 0.9]))
    # dx is scaled, dy cut to the limit, dz never moved, effort is a gripper's.
    assert bounds.low == (-0.5, -1.0, -1.0, -1.0)
    assert bounds.high == (0.5, 0.2, 1.0, 1.0)


def test_data_beyond_the_limits_alone_leave_the_limits():
    bounds = action_bounds(SAWYER_CELL, np.full(4, 2.0), np.full(4, 3.0))
    assert (bounds.low, bounds.high) == (SAWYER_CELL.action.low, SAWYER_CELL.action.high)
