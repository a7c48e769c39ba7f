"""How a running cell is recorded: on one 20 Hz clock as HDF5 recorders do, or every sensor on its own, as in ROS."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from components.core.episode import Stream
from components.core.spec import SAWYER_CELL
from components.sim.cameras import CAMERAS
from components.sim.cell import CONTROL_NS, SUBSTEP_NS, Cell, Pose, Reading

ACTION_NAMES = SAWYER_CELL.action.names
JOINT_NAMES = tuple(f"right_j{number}" for number in range(7))
_HAND = ("hand_x", "hand_y", "hand_z")
_ORIENTATION = ("x", "y", "z", "w")

CAMERA_HZ = 30.0
JOINTS_HZ = 100.0
GRIPPER_HZ = 10.0
# Standard deviations of when a sensor samples, around its even grid.
CAMERA_JITTER_NS = 1_000_000
SENSOR_JITTER_NS = 400_000
TICK_JITTER_NS = 200_000
# From the tick at which the action was decided until its message is stamped.
_ACTION_LATENCY_NS = 1_500_000


class Sensors(Protocol):
    """Watches one episode: `start` after the reset, `tick` before each control step, `streams` after a success."""

    def start(self, cell: Cell) -> None: ...

    def tick(self, cell: Cell, action: npt.NDArray[np.float64], executed: npt.NDArray[np.float64]) -> None: ...

    def streams(self, cell: Cell) -> dict[str, Stream]: ...


class TickSensors:
    """Reads everything at the control tick: every stream has the same times, in ns from the reset."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._readings: list[Reading] = []
        self._actions: list[npt.NDArray[np.float64]] = []
        self._executed: list[npt.NDArray[np.float64]] = []
        self._poses: list[Pose] = []

    def start(self, cell: Cell) -> None:
        return

    def tick(self, cell: Cell, action: npt.NDArray[np.float64], executed: npt.NDArray[np.float64]) -> None:
        self._readings.append(cell.reading())
        self._actions.append(action)
        self._executed.append(executed)
        self._poses.append(cell.pose())

    def streams(self, cell: Cell) -> dict[str, Stream]:
        ticks = np.array([reading.time_ns for reading in self._readings], dtype=np.int64)
        time = ticks + _jitter(self._rng, TICK_JITTER_NS, CONTROL_NS, len(ticks))
        return {
            **{name: Stream(name, "image", time, _film(cell, name, self._poses)) for name in CAMERAS},
            "joints": Stream("joints", "state", time, _stack(self._readings, "joints"), JOINT_NAMES),
            "hand": Stream("hand", "state", time, _stack(self._readings, "hand"), _HAND),
            "gripper": Stream("gripper", "state", time, _stack(self._readings, "gripper"), ("gripper_opening",)),
            "action": Stream("action", "action", time, np.array(self._actions), ACTION_NAMES),
            "action_executed": Stream("action_executed", "action", time, np.array(self._executed), ACTION_NAMES),
        }


class TopicSensors:
    """Every sensor on its own jittered clock, in ns from the reset; clocks start up to one period before it.

    Cameras take the first physics step after their clock asks for an image. Arm sensors are read at every physics step
    (400 Hz) and interpolated at their clock. Before the reset the arm rests, so that clocks which ask for a time before
    zero get the state at zero.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._readings: list[Reading] = []
        self._ticks: list[int] = []
        self._actions: list[npt.NDArray[np.float64]] = []
        self._executed: list[npt.NDArray[np.float64]] = []
        self._poses: dict[str, list[Pose]] = {name: [] for name in CAMERAS}
        self._stamps: dict[str, list[int]] = {name: [] for name in CAMERAS}
        self._clocks = {name: _Clock(rng, CAMERA_HZ, CAMERA_JITTER_NS) for name in CAMERAS}

    def start(self, cell: Cell) -> None:
        self._readings.append(cell.reading())
        for name in CAMERAS:
            while self._clocks[name].next_ns <= 0:
                self._capture(cell, name, self._clocks[name].advance())
        cell.on_substep = self._substep

    def tick(self, cell: Cell, action: npt.NDArray[np.float64], executed: npt.NDArray[np.float64]) -> None:
        self._ticks.append(cell.time_ns)
        self._actions.append(action)
        self._executed.append(executed)

    def streams(self, cell: Cell) -> dict[str, Stream]:
        found = {
            name: Stream(name, "image", np.array(self._stamps[name], dtype=np.int64), _film(cell, name, poses))
            for name, poses in self._poses.items()
        }
        found["joints"] = self._sampled("joints", "joints", JOINTS_HZ, JOINT_NAMES)
        found["hand"] = self._sampled("hand", "hand", JOINTS_HZ, _HAND)
        # One message carries position and orientation, so both have the clock of the position.
        orientation = _at(self._readings, "orientation", found["hand"].time_ns)
        found["hand_orientation"] = Stream(
            "hand_orientation", "state", found["hand"].time_ns, orientation, _ORIENTATION
        )
        found["gripper"] = self._sampled("gripper", "gripper", GRIPPER_HZ, ("gripper_opening",))
        for name, values in (("action", self._actions), ("action_executed", self._executed)):
            delay = np.abs(_jitter(self._rng, SENSOR_JITTER_NS, CONTROL_NS, len(values)))
            time = np.array(self._ticks, dtype=np.int64) + _ACTION_LATENCY_NS + delay
            found[name] = Stream(name, "action", time, np.array(values), ACTION_NAMES)
        return found

    def _substep(self, cell: Cell) -> None:
        self._readings.append(cell.reading())
        for name, clock in self._clocks.items():
            if clock.next_ns <= cell.time_ns:
                clock.advance()
                self._capture(cell, name, cell.time_ns)

    def _capture(self, cell: Cell, camera: str, stamp_ns: int) -> None:
        self._poses[camera].append(cell.pose())
        self._stamps[camera].append(stamp_ns)

    def _sampled(self, name: str, attribute: str, rate_hz: float, names: tuple[str, ...]) -> Stream:
        clock = _Clock(self._rng, rate_hz, SENSOR_JITTER_NS)
        end = self._readings[-1].time_ns
        stamps: list[int] = []
        while clock.next_ns <= end:
            stamps.append(clock.advance())
        time = np.array(stamps, dtype=np.int64)
        return Stream(name, "state", time, _at(self._readings, attribute, time), names)


class _Clock:
    """Even grid with a random phase within the period before zero, and jitter that never reorders samples."""

    def __init__(self, rng: np.random.Generator, rate_hz: float, jitter_ns: int) -> None:
        self._rng = rng
        self._period_ns = round(1e9 / rate_hz)
        self._jitter_ns = jitter_ns
        self._grid_ns = -int(rng.integers(SUBSTEP_NS, self._period_ns))
        self.next_ns = self._grid_ns

    def advance(self) -> int:
        """The sample that is due; `next_ns` becomes the one after it."""
        due = self.next_ns
        self._grid_ns += self._period_ns
        self.next_ns = self._grid_ns + int(_jitter(self._rng, self._jitter_ns, self._period_ns, 1)[0])
        return due


def _film(cell: Cell, camera: str, poses: list[Pose]) -> list[npt.NDArray[np.uint8]]:
    """Rendered at the end: an expert that fails has cost no image."""
    return [cell.render_past(pose, camera) for pose in poses]


def _jitter(rng: np.random.Generator, deviation_ns: int, period_ns: int, count: int) -> npt.NDArray[np.int64]:
    limit = period_ns * 0.4
    return np.clip(rng.normal(0.0, deviation_ns, count), -limit, limit).astype(np.int64)


def _stack(readings: list[Reading], attribute: str) -> npt.NDArray[np.float64]:
    values = np.array([getattr(reading, attribute) for reading in readings], dtype=np.float64)
    return values.reshape(len(readings), -1)


def _at(readings: list[Reading], attribute: str, time_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Linear between physics steps, 2.5 ms apart."""
    known = np.array([reading.time_ns for reading in readings], dtype=np.float64)
    values = _stack(readings, attribute)
    return np.stack([np.interp(time_ns, known, column) for column in values.T], axis=1)
