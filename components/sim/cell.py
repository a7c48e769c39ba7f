"""One simulated robot cell: a Meta-World scene on a 20 Hz control clock with two cameras."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.errors import ContractError, UsageError
from components.core.spec import SAWYER_CELL
from components.sim.cameras import CAMERAS, Cameras
from components.sim.environment import make_environment
from components.sim.gl import load_mujoco
from components.sim.hold import HOLD_S, Hold, hold_steps
from components.sim.tasks import Task, task

# The environment steps at 80 Hz and holds its success flag for one step only.
ENV_STEPS_PER_CONTROL = 4
SUBSTEP_NS = 2_500_000
CONTROL_NS = 50_000_000
_ARM_JOINTS = 7


@dataclass(frozen=True)
class Observation:
    """`images`: camera -> uint8 [H, W, 3] RGB; `state`: float32 [4], hand x, y, z in m and gripper opening in 0..1."""

    images: dict[str, npt.NDArray[np.uint8]]
    state: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Reading:
    """What the arm's own sensors report at one instant; `time_ns` counts from the reset.

    `joints` [7] rad; `hand` [3] m; `orientation` [4] of the hand as quaternion x, y, z, w; `gripper` 0..1, 1 is open.
    """

    time_ns: int
    joints: npt.NDArray[np.float64]
    hand: npt.NDArray[np.float64]
    orientation: npt.NDArray[np.float64]
    gripper: float


@dataclass(frozen=True)
class Pose:
    """All that decides an image of an episode at one instant, so that it can be rendered later."""

    qpos: npt.NDArray[np.float64]
    mocap_pos: npt.NDArray[np.float64]
    mocap_quat: npt.NDArray[np.float64]


class Cell:
    """A scene that is reset by seed and moved by actions in [-1, 1].

    with Cell("drawer-open") as cell:
        cell.reset(seed=7)
        while not cell.step(action):  # 50 ms each
            observation = cell.observe()

    The same seed and the same actions give the same states and the same pixels, whatever the cell did before.
    Success means: the task's condition was met at the end of every control step for `hold_s` seconds.
    """

    def __init__(
        self, task_: str | Task, image_px: int = SAWYER_CELL.observation.image_px, *, hold_s: float = HOLD_S
    ) -> None:
        self.task = task(task_) if isinstance(task_, str) else task_
        self.hold = Hold(hold_steps(hold_s))
        self._mujoco = load_mujoco()
        self._env = make_environment(self.task)
        self._model, self._data = self._env.model, self._env.data
        self._past = self._mujoco.MjData(self._model)
        self._cameras: Cameras | None = Cameras(self._model, image_px)
        self._env.do_simulation = self._simulate
        self._bodies = [self._model.body(name).id for name in ("hand", "rightclaw", "leftclaw")]
        self._full_state: npt.NDArray[np.float64] | None = None
        self._substeps = 0
        # Called after each physics step (2.5 ms) within `step`, with the kinematics up to date.
        self.on_substep: Callable[[Cell], None] | None = None

    def reset(self, seed: int) -> None:
        """Draws object positions from `seed` and moves the arm home."""
        self._require_open()
        self._env.seed(seed)
        hook, self.on_substep = self.on_substep, None
        try:
            self._full_state, _ = self._env.reset()
        finally:
            self.on_substep = hook
        # The environment moves bodies after its last kinematics pass; without this the first image would lag.
        self._mujoco.mj_forward(self._model, self._data)
        self.hold.reset()
        self._substeps = 0

    def observe(self) -> Observation:
        """Renders both cameras and reads the state."""
        return Observation(images={name: self.render(name) for name in CAMERAS}, state=self.state())

    def state(self) -> npt.NDArray[np.float32]:
        """float32 [4], without rendering."""
        return self.full_state()[:4].astype(np.float32)

    def full_state(self) -> npt.NDArray[np.float64]:
        """float64 [39]: with object and goal positions, for scripted experts only; no policy may see it."""
        if self._full_state is None:
            raise UsageError("the cell was not reset", hint="Call Cell.reset(seed) first")
        return self._full_state

    def render(self, camera: str) -> npt.NDArray[np.uint8]:
        """One image of one camera, as of now."""
        return self._require_open().render(self._data, camera)

    def pose(self) -> Pose:
        """The instant, for `render_past`."""
        return Pose(self._data.qpos.copy(), self._data.mocap_pos.copy(), self._data.mocap_quat.copy())

    def render_past(self, pose: Pose, camera: str) -> npt.NDArray[np.uint8]:
        """What `render` would have given at `pose`, taken since the last reset. Does not touch the running episode."""
        past = self._past
        past.qpos[:], past.mocap_pos[:], past.mocap_quat[:] = pose.qpos, pose.mocap_pos, pose.mocap_quat
        self._mujoco.mj_kinematics(self._model, past)
        self._mujoco.mj_camlight(self._model, past)
        return self._require_open().render(past, camera)

    def reading(self) -> Reading:
        """The arm's sensors, as of now."""
        hand, right, left = self._bodies
        place = self._data.xpos
        # The environment's own definition of the opening: fingers 0.1 m apart are fully open.
        gripper = min(math.dist(place[right], place[left]) / 0.1, 1.0)
        joints = self._data.qpos[:_ARM_JOINTS].copy()
        return Reading(self.time_ns, joints, place[hand].copy(), self._data.xquat[hand][[1, 2, 3, 0]], gripper)

    def step(self, action: npt.ArrayLike) -> bool:
        """Holds `action` [4] for 50 ms; returns `success`. Raises `ContractError` on a wrong shape or a NaN."""
        self.full_state()
        command = np.asarray(action, dtype=np.float64)
        if command.shape != (SAWYER_CELL.action.dim,) or not np.isfinite(command).all():
            raise ContractError(f"action must be {SAWYER_CELL.action.dim} finite numbers, found {command!r}")
        command = np.clip(command, SAWYER_CELL.action.low, SAWYER_CELL.action.high)
        for _ in range(ENV_STEPS_PER_CONTROL):
            self._full_state, _, _, _, info = self._env.step(command)
        self.hold.update(bool(info["success"]))
        return self.success

    @property
    def holding(self) -> bool:
        """Whether the task's condition is met just now."""
        return self.hold.holding

    @property
    def success(self) -> bool:
        return self.hold.done

    @property
    def environment(self) -> Any:
        """The Meta-World environment, for what judges the scene by another task."""
        return self._env

    @property
    def time_ns(self) -> int:
        """Simulated time since the reset."""
        return self._substeps * SUBSTEP_NS

    def calibration(self) -> dict[str, dict[str, Any]]:
        """Mounting and field of view of each camera, as the scene defines them."""
        found = {}
        for name, (scene_name, _) in CAMERAS.items():
            camera = self._model.camera(scene_name)
            pose = {"position": camera.pos.tolist(), "quaternion": camera.quat.tolist()}
            found[name] = {"fovy_deg": float(camera.fovy[0]), **pose}
        return found

    def close(self) -> None:
        """Frees the renderer; may be called twice."""
        if self._cameras is not None:
            self._cameras.close()
            self._cameras = None
            self._env.close()

    def __enter__(self) -> Cell:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _require_open(self) -> Cameras:
        if self._cameras is None:
            raise UsageError("the cell is closed", hint="Make a new Cell")
        return self._cameras

    def _simulate(self, ctrl: npt.ArrayLike, n_frames: int) -> None:
        """Takes the place of the environment's own loop, so that sensors can be read between physics steps."""
        self._data.ctrl[:] = ctrl
        if self.on_substep is None:
            self._mujoco.mj_step(self._model, self._data, nstep=n_frames)
            self._substeps += n_frames
            return
        for _ in range(n_frames):
            self._mujoco.mj_step(self._model, self._data)
            self._substeps += 1
            # mj_step leaves the positions of bodies one step behind the joints.
            self._mujoco.mj_kinematics(self._model, self._data)
            self.on_substep(self)
