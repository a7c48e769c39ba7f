"""Actions as places, as steps from the one before, or as steps from where a chunk begins. Numpy only.

Positions are subtracted and added; rotations are composed: a step turns about the axes of the frame of its group, from
the left, and about the axes of the tool, from the right, where the frame is one of `TOOL_FRAMES`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from components.core.errors import ContractError
from components.core.spec import REPRESENTATIONS, ActionGroup, StateGroup
from components.transforms.rotations import from_quaternion, invert, multiply, to_quaternion
from components.transforms.units import ConvertUnits, quantity

Values = npt.NDArray[np.float64]

# Frames that move with the hand.
TOOL_FRAMES = ("tool", "gripper", "hand", "wrist", "end_effector", "flange")
# Forms that are angles and so have units of their own.
ANGLE_FORMS = ("euler_xyz", "axis_angle")


def turn(group: ActionGroup | StateGroup, values: npt.NDArray[np.floating]) -> Values:
    """Values [..., D] of a rotation group as unit quaternions xyzw [..., 4]."""
    array = np.asarray(values, dtype=np.float64)
    return to_quaternion(_radians(group).apply(array) if group.rotation in ANGLE_FORMS else array, group.rotation)


def as_written(group: ActionGroup | StateGroup, quaternion: Values) -> Values:
    """Inverse of `turn`, up to the many ways in which one rotation can be written."""
    values = from_quaternion(quaternion, group.rotation)
    return _radians(group).inverse(values) if group.rotation in ANGLE_FORMS else values


def step_between(group: ActionGroup, start: npt.NDArray[np.floating], end: npt.NDArray[np.floating]) -> Values:
    """[..., D]: what leads from `start` to `end`."""
    if not group.rotation:
        return np.asarray(end, dtype=np.float64) - start
    one, other = turn(group, start), turn(group, end)
    step = multiply(invert(one), other) if group.frame in TOOL_FRAMES else multiply(other, invert(one))
    return as_written(group, step)


def step_on(group: ActionGroup, start: npt.NDArray[np.floating], step: npt.NDArray[np.floating]) -> Values:
    """[..., D]: where `step` leads to from `start`; inverse of `step_between`."""
    if not group.rotation:
        return np.asarray(start, dtype=np.float64) + step
    one, by = turn(group, start), turn(group, step)
    return as_written(group, multiply(one, by) if group.frame in TOOL_FRAMES else multiply(by, one))


@dataclass(frozen=True)
class RelativeActions:
    """Chunks of absolute actions <-> what each group's `representation` says.

    `absolute` groups, which grippers usually are, pass untouched. A `step_delta` is the way from the action before it,
    the first of a chunk from the reference; a `chunk_relative` action is the way from the reference. The reference
    [..., A] is the action before the chunk, or the state in terms of the action. `inverse` gives back positions within
    1e-9 of the largest number for H <= 100, and the same rotations within 1e-6 rad. Raises `ContractError` for a
    rotation whose unit is not an angle: shares of a controller's limit cannot be composed.
    """

    groups: tuple[ActionGroup, ...]

    def __post_init__(self) -> None:
        for group in self.groups:
            if (
                group.representation != "absolute"
                and group.rotation in ANGLE_FORMS
                and quantity(group.units) != "angle"
            ):
                raise ContractError(
                    f"group {group.name!r}: units is {group.units!r}, expected rad or deg to compose its rotations"
                )

    def apply(self, absolute: npt.NDArray[np.floating], reference: npt.NDArray[np.floating]) -> Values:
        """Absolute [..., H, A] and the reference [..., A] -> float64 [..., H, A] as the groups say."""
        places, start = self._checked(absolute, reference)
        out = places.copy()
        for group, columns in self._columns():
            here, before = places[..., columns], start[..., None, columns]
            if group.representation == "step_delta":
                before = np.concatenate([before, here[..., :-1, :]], axis=-2)
            if group.representation != "absolute":
                out[..., columns] = step_between(group, np.broadcast_to(before, here.shape), here)
        return out

    def inverse(self, relative: npt.NDArray[np.floating], reference: npt.NDArray[np.floating]) -> Values:
        """As the groups say [..., H, A] and the reference [..., A] -> absolute float64 [..., H, A]."""
        steps, start = self._checked(relative, reference)
        out = steps.copy()
        for group, columns in self._columns():
            here = start[..., columns]
            if group.representation == "chunk_relative":
                out[..., columns] = step_on(
                    group, np.broadcast_to(here[..., None, :], steps[..., columns].shape), steps[..., columns]
                )
            elif group.representation == "step_delta":
                for number in range(steps.shape[-2]):
                    here = step_on(group, here, steps[..., number, columns])
                    out[..., number, columns] = here
        return out

    def _columns(self) -> Iterator[tuple[ActionGroup, slice]]:
        first = 0
        for group in self.groups:
            yield group, slice(first, first + len(group.names))
            first += len(group.names)

    def _checked(self, chunk: npt.NDArray[np.floating], reference: npt.NDArray[np.floating]) -> tuple[Values, Values]:
        width = sum(len(group.names) for group in self.groups)
        actions, start = np.asarray(chunk, dtype=np.float64), np.asarray(reference, dtype=np.float64)
        if actions.ndim < 2 or actions.shape[-1] != width:
            raise ContractError(f"a chunk has shape {list(actions.shape)}, expected [..., H, {width}]")
        if start.shape != (*actions.shape[:-2], width):
            raise ContractError(f"the reference has shape {list(start.shape)}, expected {[*actions.shape[:-2], width]}")
        return actions, start


@dataclass(frozen=True)
class ConvertActions:
    """Chunks from the representations of one tuple of groups to those of another, by way of places.

    The groups may differ in `representation` alone; anything else is a `ContractError` that names the field.
    """

    found: tuple[ActionGroup, ...]
    expected: tuple[ActionGroup, ...]

    def __post_init__(self) -> None:
        if len(self.found) != len(self.expected):
            raise ContractError(f"{len(self.found)} groups of actions, expected {len(self.expected)}")
        for one, other in zip(self.found, self.expected, strict=True):
            for name in one.__dataclass_fields__:
                left, right = getattr(one, name), getattr(other, name)
                if left != right and name not in ("representation", "low", "high"):
                    raise ContractError(f"group {one.name!r}: {name} is {left!r}, expected {right!r}")

    def apply(self, chunk: npt.NDArray[np.floating], reference: npt.NDArray[np.floating]) -> Values:
        """[..., H, A] as `found` says and the reference [..., A] -> float64 [..., H, A] as `expected` says."""
        return RelativeActions(self.expected).apply(RelativeActions(self.found).inverse(chunk, reference), reference)

    def inverse(self, chunk: npt.NDArray[np.floating], reference: npt.NDArray[np.floating]) -> Values:
        return ConvertActions(self.expected, self.found).apply(chunk, reference)


def with_representation(groups: tuple[ActionGroup, ...], representation: str) -> tuple[ActionGroup, ...]:
    """The same groups in `representation`, but for grippers: how far one is open is never a step."""
    if representation not in REPRESENTATIONS:
        raise ContractError(f"representation is {representation!r}, expected one of {', '.join(REPRESENTATIONS)}")
    return tuple(g if g.gripper_open is not None else replace(g, representation=representation) for g in groups)


def _radians(group: ActionGroup | StateGroup) -> ConvertUnits:
    return ConvertUnits(group.units, "rad")
