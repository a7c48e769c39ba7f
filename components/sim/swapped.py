"""A scene judged by another task of the same scene: did the robot do what it was told, or what is usual there?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.core.errors import UsageError
from components.sim.cell import Cell, Observation
from components.sim.environment import make_environment
from components.sim.gl import load_mujoco
from components.sim.hold import Hold
from components.sim.tasks import Task


class SwappedCell:
    """`cell` with the success condition of `asked` beside its own; ends as soon as either has been held.

    The condition is that of the asked task's own environment: one that never moves is given the drawn object position
    and, after every control step, the joints of `cell`. Nothing of its formulas is repeated here. Raises `UsageError`
    where the two tasks do not share a scene.
    """

    def __init__(self, cell: Cell, asked: Task) -> None:
        if cell.task.scene != asked.scene:
            raise UsageError(f"{asked.name} cannot be judged in the scene of {cell.task.name}")
        self._cell = cell
        self._mujoco = load_mujoco()
        self._judge = make_environment(asked)
        # It takes the object position that it is given, and does not draw one.
        self._judge._freeze_rand_vec = True
        self._asked = Hold(cell.hold.steps)

    @property
    def did_asked(self) -> bool:
        return self._asked.done

    @property
    def did_scene(self) -> bool:
        return self._cell.success

    @property
    def holding(self) -> bool:
        return self._asked.holding or self._cell.holding

    def reset(self, seed: int) -> None:
        self._cell.reset(seed)
        self._judge._last_rand_vec = self._cell.environment._last_rand_vec.copy()
        self._judge.reset()
        self._asked.reset()

    def observe(self) -> Observation:
        return self._cell.observe()

    def step(self, action: npt.ArrayLike) -> bool:
        """Holds `action` [4] for 50 ms; returns whether either task has been held for long enough."""
        done = self._cell.step(action)
        self._asked.update(self._met(np.asarray(action, dtype=np.float32)))
        return done or self.did_asked

    def _met(self, action: npt.NDArray[np.float32]) -> bool:
        judge, shown = self._judge, self._cell.environment.data
        judge.data.qpos[:] = shown.qpos
        judge.data.mocap_pos[:], judge.data.mocap_quat[:] = shown.mocap_pos, shown.mocap_quat
        self._mujoco.mj_forward(judge.model, judge.data)
        _, info = judge.evaluate_state(judge._get_obs(), action)
        return bool(info["success"])
