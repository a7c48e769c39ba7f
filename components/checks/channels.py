"""What the numeric columns of an episode are, derived once from the embodiment: the checks know no robot by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from components.core.spec import ActionGroup, Embodiment, StateGroup

STATE, ACTION, TIME = "observation.state", "action", "observation.time"
# Distance in a tick below which a part of a robot counts as standing still, by unit.
_STILL = {"m": 0.002, "cm": 0.2, "mm": 2.0, "rad": 0.01, "deg": 0.6}
_STEADY = ("linear", "slerp")


@dataclass(frozen=True)
class Channel:
    """One dimension. `role`: state, kept or action; `low`, `high`: declared limits, infinite where there are none."""

    role: str
    group: str
    name: str
    units: str
    low: float
    high: float
    steady: bool = False
    """Moves without leaps: a length or an angle that is interpolated, no gripper and no turning of a quaternion."""

    @property
    def path(self) -> str:
        return f"{self.role}/{self.name}"


@dataclass(frozen=True)
class Gripper:
    """A gripper's command and its measured opening, as channels; the values of each that are wholly open and closed."""

    action: int
    state: int
    action_range: tuple[float, float]
    state_range: tuple[float, float]


@dataclass(frozen=True)
class Pairing:
    """Commands and what they move, dimension by dimension; `delta`: the command is a step, not a place."""

    action: tuple[int, ...]
    state: tuple[int, ...]
    delta: bool


class Channels:
    """All numeric columns side by side: state, then what is kept beside it, then the action.

    `blocks`: (feature key, number of columns) in the order in which they are put together.
    """

    def __init__(self, body: Embodiment) -> None:
        self.body = body
        seen, done = body.observation, body.action
        streams = list(dict.fromkeys(group.stream for group in seen.kept))
        kept = [group for stream in streams for group in seen.kept if group.stream == stream]
        state = _state_channels(body, "state", seen.state)
        beside = _state_channels(body, "kept", kept)
        action = [
            Channel("action", group.name, name, group.units, low, high)
            for group in done.groups
            for name, low, high in zip(group.names, group.low, group.high, strict=True)
        ]
        self.all: tuple[Channel, ...] = (*state, *beside, *action)
        widths = {stream: sum(len(group.names) for group in kept if group.stream == stream) for stream in streams}
        self.blocks = (
            (STATE, len(state)),
            *((f"observation.{stream}", width) for stream, width in widths.items()),
            (ACTION, len(action)),
        )
        self.measured = slice(0, len(state) + len(beside))
        self.state = slice(0, len(state))
        self.action = slice(len(state) + len(beside), len(self.all))

    def __len__(self) -> int:
        return len(self.all)

    def matrix(self, frames: dict[str, npt.NDArray[np.floating]]) -> npt.NDArray[np.float64]:
        """float64 [T, C] of the feature columns of an episode."""
        return np.concatenate([frames[key].reshape(-1, width) for key, width in self.blocks], axis=1, dtype=np.float64)

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(key for key, _ in self.blocks)

    @cached_property
    def steady(self) -> npt.NDArray[np.bool_]:
        return np.array([channel.steady for channel in self.all])

    @cached_property
    def steady_groups(self) -> tuple[tuple[int, ...], ...]:
        """Measured channels that move together, by role and group."""
        groups: dict[tuple[str, str], list[int]] = {}
        for number, channel in enumerate(self.all[self.measured]):
            if channel.steady:
                groups.setdefault((channel.role, channel.group), []).append(number)
        return tuple(tuple(group) for group in groups.values())

    @cached_property
    def low(self) -> npt.NDArray[np.float64]:
        return np.array([channel.low for channel in self.all])

    @cached_property
    def high(self) -> npt.NDArray[np.float64]:
        return np.array([channel.high for channel in self.all])

    @cached_property
    def reach_low(self) -> npt.NDArray[np.float64]:
        """Limits of the measured channels [M]; infinite for grippers, which what they hold may press beyond theirs."""
        return np.where(self.steady, self.low, -np.inf)[self.measured]

    @cached_property
    def reach_high(self) -> npt.NDArray[np.float64]:
        return np.where(self.steady, self.high, np.inf)[self.measured]

    @cached_property
    def hand(self) -> npt.NDArray[np.int64]:
        """The channels whose motion is the robot's: state in metres but no gripper, else all steady state, else all."""
        state = list(enumerate(self.all[self.state]))
        steady = [number for number, channel in state if channel.steady]
        metres = [number for number in steady if self.all[number].units == "m"]
        return np.array(metres or steady or [number for number, _ in state])

    @property
    def has_metres(self) -> bool:
        return self.all[int(self.hand[0])].units == "m"

    @property
    def still(self) -> float:
        """Below this distance in a tick the hand counts as standing still."""
        return _STILL.get(self.all[int(self.hand[0])].units, 0.01)

    @cached_property
    def pairings(self) -> tuple[Pairing, ...]:
        """Which commands move which measured channels, where names, groups and units say so."""
        found, start = [], self.action.start
        for group in self.body.action.groups:
            columns = tuple(range(start, start + len(group.names)))
            start += len(group.names)
            if group.gripper_open is None and (state := self._moved_by(group)):
                found.append(Pairing(columns, state, group.representation == "step_delta"))
        return tuple(found)

    def _moved_by(self, group: ActionGroup) -> tuple[int, ...]:
        numbered = list(enumerate(self.all[self.measured]))
        by_name = {channel.name: number for number, channel in numbered}
        if all(name in by_name for name in group.names):
            return tuple(by_name[name] for name in group.names)
        same = tuple(number for number, channel in numbered if channel.group == group.name and channel.steady)
        if len(same) == len(group.names):
            return same
        metres = tuple(int(number) for number in self.hand) if self.has_metres else ()
        fits = group.representation == "step_delta" and len(metres) == len(group.names) and not group.rotation
        return metres if fits else ()

    @property
    def can(self) -> frozenset[str]:
        """What can be judged of this robot; `checks.codes` says what each check needs."""
        given = {
            "metres": self.has_metres,
            "limits": bool(np.isfinite(self.reach_low).any()),
            "gripper": bool(self.gripper_commands),
            "commands": bool(self.pairings),
            "camera": bool(self.body.observation.cameras),
            "cameras": len(self.body.observation.cameras) > 1,
        }
        return frozenset(name for name, is_given in given.items() if is_given)

    @cached_property
    def grippers(self) -> tuple[Gripper, ...]:
        """Commands and openings of grippers in their order, where both sides declare their range."""
        actions = _gripper_columns(self.body.action.groups, self.action.start)
        states = _gripper_columns(self.body.observation.state, 0)
        if len(actions) != len(states):
            return ()
        return tuple(Gripper(a, s, ar, sr) for (a, ar), (s, sr) in zip(actions, states, strict=True))

    @cached_property
    def gripper_commands(self) -> tuple[tuple[int, tuple[float, float]], ...]:
        return tuple(_gripper_columns(self.body.action.groups, self.action.start))


def _gripper_columns(
    groups: Sequence[ActionGroup] | Sequence[StateGroup], start: int
) -> list[tuple[int, tuple[float, float]]]:
    found = []
    for group in groups:
        if group.gripper_open is not None and group.gripper_closed is not None and len(group.names) == 1:
            found.append((start, (group.gripper_open, group.gripper_closed)))
        start += len(group.names)
    return found


def _state_channels(body: Embodiment, role: str, groups: Sequence[StateGroup]) -> list[Channel]:
    found = []
    for group in groups:
        low, high = _limits(body, group)
        is_turning = group.rotation.startswith("quaternion")
        can_leap = is_turning or group.gripper_open is not None or group.interpolate not in _STEADY
        steady = group.units in _STILL and not can_leap
        found += [
            Channel(role, group.name, name, group.units, one, other, steady)
            for name, one, other in zip(group.names, low, high, strict=True)
        ]
    return found


def _limits(body: Embodiment, group: StateGroup) -> tuple[Sequence[float], Sequence[float]]:
    """Those that the group declares, else those of the absolute commands of the same names."""
    if group.low and group.high:
        return group.low, group.high
    for action in body.action.groups:
        if action.names == group.names and action.units == group.units and action.representation == "absolute":
            return action.low, action.high
    unbounded = [np.inf] * len(group.names)
    return [-limit for limit in unbounded], unbounded
