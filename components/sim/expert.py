"""The scripted expert: knows where the objects are, which no policy does."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from components.core.spec import SAWYER_CELL
from components.sim.cell import Cell
from components.sim.gl import load_metaworld
from components.sim.tasks import Task


class Expert:
    """Meta-World's scripted policy of one task."""

    def __init__(self, task: Task) -> None:
        _, policies = load_metaworld()
        self._policy = getattr(policies, task.expert)()

    def act(self, cell: Cell) -> npt.NDArray[np.float64]:
        """The action [4] for the cell's present state, clipped to the limits that a policy has too."""
        with warnings.catch_warnings():
            # The gains are meant to saturate.
            warnings.filterwarnings("ignore", message="Constant.*may be too high")
            action = np.asarray(self._policy.get_action(cell.full_state()), dtype=np.float64)
        return np.clip(action, SAWYER_CELL.action.low, SAWYER_CELL.action.high)
