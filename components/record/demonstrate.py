"""One demonstration: the scripted expert acts in a cell until the task is done and stays done, and sensors watch."""

from __future__ import annotations

from types import TracebackType

import numpy as np
import numpy.typing as npt

from components.core.episode import Episode, Provenance, Stream
from components.core.errors import ComponentError
from components.core.files import digest_json
from components.core.params import Raw
from components.core.spec import SAWYER_CELL
from components.record.faults import apply_fault
from components.record.plan import ATTEMPTS, EpisodePlan, Format
from components.record.sensors import Sensors, TickSensors, TopicSensors
from components.sim.cell import Cell
from components.sim.expert import Expert
from components.sim.tasks import task

LICENCE = "CC-BY-4.0"
# Control steps within which the success that is held has to begin; without noise the experts need at most 48.
HORIZON = 60
# Control steps for which the task's condition is met before the operator lets go of what would go too far: right at its
# edge a policy that stops a little early has not done the task; from the fourth on it is too late.
_REACTION_STEPS = 2
_IDLE_STEPS = 24
# How much of a disturbance is left one control step later: errors last long enough to move the arm off its path.
_NOISE_MEMORY = 0.5


class Studio:
    """Cells and experts, one a task, kept open between episodes; making a renderer costs as much as an episode."""

    def __init__(self) -> None:
        self._cells: dict[str, tuple[Cell, Expert]] = {}

    def demonstrate(self, plan: EpisodePlan, format_: Format, raw: Raw) -> Episode:
        """Records `plan`; where the expert fails, tries other scenes, `ATTEMPTS` in all. Raises `ComponentError`."""
        cell, expert = self._open(plan.task, raw.hold_s)
        for attempt in range(ATTEMPTS):
            sensors: Sensors = (TopicSensors if format_ == "mcap" else TickSensors)(plan.rng(attempt, purpose=1))
            cell.reset(plan.scene_seed(attempt))
            sensors.start(cell)
            done = (
                _stand_still(cell, sensors) if plan.fault == "idle" else _run(cell, expert, sensors, plan, attempt, raw)
            )
            cell.on_substep = None
            if done:
                episode = _episode(plan, sensors.streams(cell), cell)
                return apply_fault(episode, plan.fault, plan.rng(attempt, purpose=2))
        raise ComponentError(
            f"the scripted expert failed {ATTEMPTS} times in a row",
            where=plan.task,
            hint="Lower raw.execution_noise_max in params.yaml",
        )

    def close(self) -> None:
        for cell, _ in self._cells.values():
            cell.close()
        self._cells.clear()

    def __enter__(self) -> Studio:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, name: str, hold_s: float) -> tuple[Cell, Expert]:
        if name not in self._cells:
            self._cells[name] = (Cell(name, hold_s=hold_s), Expert(task(name)))
        return self._cells[name]


def _run(cell: Cell, expert: Expert, sensors: Sensors, plan: EpisodePlan, attempt: int, raw: Raw) -> bool:
    """Expert in the loop. The arm executes a disturbed action, the label stays clean (DART).

    The experts do not know when they are done. Where that undoes the task (`Task.overshoots`) an operator would stop:
    once the condition has been met for `_REACTION_STEPS`, and while it still is, the arm is told to stand, and nothing
    disturbs it. Elsewhere the expert keeps what it has.
    """
    rng = plan.rng(attempt)
    noisy = rng.random() < raw.noisy_share
    sigma = rng.uniform(0.0, raw.execution_noise_max) if noisy else 0.0
    noise = np.zeros(SAWYER_CELL.action.dim)
    steps = 0
    action = noise
    while steps < HORIZON or cell.holding:
        resting = task(plan.task).overshoots and cell.hold.held >= _REACTION_STEPS
        action = _rest(action) if resting else expert.act(cell)
        noise = disturb(noise, sigma, rng)
        executed = action if resting else action + noise
        executed = np.clip(executed, SAWYER_CELL.action.low, SAWYER_CELL.action.high)
        sensors.tick(cell, action, executed)
        steps += 1
        if cell.step(executed):
            return True
    return False


def _rest(action: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The arm stands; the gripper stays as `action` had it."""
    return np.concatenate([np.zeros(SAWYER_CELL.action.dim - 1), action[-1:]])


def _stand_still(cell: Cell, sensors: Sensors) -> bool:
    """What is left when the operator starts the recorder and forgets the robot."""
    still = np.zeros(SAWYER_CELL.action.dim)
    for _ in range(_IDLE_STEPS):
        sensors.tick(cell, still, still)
        cell.step(still)
    return True


def disturb(previous: npt.NDArray[np.float64], sigma: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Next value of an AR(1) process with stationary deviation `sigma` on the arm; the gripper is left alone."""
    fresh = rng.normal(0.0, sigma * np.sqrt(1.0 - _NOISE_MEMORY**2), previous.shape)
    fresh[-1] = 0.0
    return _NOISE_MEMORY * previous + fresh


def _episode(plan: EpisodePlan, streams: dict[str, Stream], cell: Cell) -> Episode:
    start_ns = int(plan.start.timestamp()) * 1_000_000_000
    placed = {name: Stream(s.name, s.kind, s.time_ns + start_ns, s.values, s.names) for name, s in streams.items()}
    provenance = Provenance(
        source_uri="",
        source_sha256="",
        source_format="",
        robot_id=plan.robot_id,
        collector_id=plan.collector_id,
        site=plan.site,
        recorded_at=plan.start.isoformat().replace("+00:00", "Z"),
        licence=LICENCE,
        consent_ref=f"consent/{plan.collector_id}",
        calibration_digest=digest_json({"robot": plan.robot_id, "cameras": cell.calibration()}),
        outcome="success",
    )
    return Episode(plan.task, plan.instruction, SAWYER_CELL.name, placed, provenance, SAWYER_CELL.action.rate_hz)
