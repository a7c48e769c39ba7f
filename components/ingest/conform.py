"""What a stream says about its numbers against what an embodiment wants: converted, or refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from components.core.episode import PICTURES, Form, Stream
from components.core.errors import EpisodeError
from components.core.spec import ROTATION_WIDTHS, ActionGroup, StateGroup
from components.transforms.actions import ANGLE_FORMS
from components.transforms.rotations import ConvertRotation
from components.transforms.units import ConvertUnits, GripperRange, convertible, quantity

Group: TypeAlias = ActionGroup | StateGroup
Values = npt.NDArray[np.float64]


def cut(stream: Stream, groups: Sequence[Group], *, where: str) -> list[Stream]:
    """Per group its columns of `stream`, in the units, rotation and gripper range of the group; the clock is shared.

    The groups take the columns one after the other, or by name where the stream names the same in another order.
    Raises `EpisodeError`: wrong_kind, wrong_shape, wrong_form.
    """
    if stream.kind in PICTURES:
        raise EpisodeError(f"stream {stream.name!r} holds pictures, expected numbers", where=where, code="wrong_kind")
    _require_known_form(stream, groups, where)
    values = np.asarray(stream.values, dtype=np.float64)
    widths = [_width(stream.form, group) for group in groups]
    if values.ndim != 2 or values.shape[1] != sum(widths):
        names = ", ".join(name for group in groups for name in group.names)
        raise EpisodeError(
            f"{stream.name} has {values.shape[-1]} dimensions, expected {sum(widths)} ({names})",
            where=where,
            hint="`select` of its mapping chooses columns",
            code="wrong_shape",
        )
    values = values[:, _order(stream, groups)]
    parts = np.split(values, np.cumsum(widths)[:-1], axis=1)
    return [
        replace(stream, values=_converted(part, stream, group, groups, where), names=group.names, form=Form())
        for part, group in zip(parts, groups, strict=True)
    ]


def found_representation(stream: Stream, group: ActionGroup, *, where: str) -> str:
    """How the stream's actions are to be read for a group. Raises `EpisodeError` (wrong_form) where that is of no use.

    Places become steps; steps alone do not say where they began. What is relative to a chunk is stored as places.
    """
    found, expected = stream.form.representation, group.representation
    # A stream is called relative for its arm; how far a gripper is open is a place all the same.
    if not found or (group.gripper_open is not None and found != "absolute"):
        found = "absolute" if expected == "chunk_relative" else expected
    # The way between two rotations is a rotation; shares of a controller's limit cannot say which.
    unclear = group.rotation in ANGLE_FORMS and quantity(group.units) != "angle" and expected == "step_delta"
    if found != expected and (found != "absolute" or unclear):
        raise _wrong_form(stream, group, "representation", found, expected, where)
    return found


def _require_known_form(stream: Stream, groups: Sequence[Group], where: str) -> None:
    form, first = stream.form, groups[0]
    if form.rotation and form.rotation not in ROTATION_WIDTHS:
        raise _wrong_form(stream, first, "rotation", form.rotation, f"one of {', '.join(ROTATION_WIDTHS)}", where)
    if form.rotation and not any(group.rotation for group in groups):
        raise _wrong_form(stream, first, "rotation", form.rotation, "none", where)
    if form.gripper is not None and all(group.gripper_open is None for group in groups):
        raise _wrong_form(stream, first, "gripper_open", form.gripper[0], "none", where)


def _width(form: Form, group: Group) -> int:
    return ROTATION_WIDTHS[form.rotation] if form.rotation and group.rotation else len(group.names)


def _order(stream: Stream, groups: Sequence[Group]) -> list[int]:
    wanted = [name for group in groups for name in group.names]
    if len(set(wanted)) == len(wanted) and sorted(stream.names) == sorted(wanted):
        return [stream.names.index(name) for name in wanted]
    return list(range(np.asarray(stream.values).shape[1]))


def _converted(values: Values, stream: Stream, group: Group, groups: Sequence[Group], where: str) -> Values:
    form = stream.form
    if group.gripper_open is not None and group.gripper_closed is not None and form.gripper is not None:
        return GripperRange(form.gripper, (group.gripper_open, group.gripper_closed)).apply(values)
    found = _units(stream, group, groups, where)
    if not group.rotation or (form.rotation or group.rotation) == group.rotation:
        return ConvertUnits(found, group.units).apply(values) if found else values
    # Another form of rotation: angles go through rad.
    if form.rotation in ANGLE_FORMS:
        values = ConvertUnits(found or "rad", "rad").apply(values)
    values = ConvertRotation(form.rotation, group.rotation).apply(values)
    if group.rotation in ANGLE_FORMS:
        if quantity(group.units) != "angle":
            raise _wrong_form(stream, group, "rotation", form.rotation, f"{group.rotation} in {group.units}", where)
        values = ConvertUnits("rad", group.units).apply(values)
    return values


def _units(stream: Stream, group: Group, groups: Sequence[Group], where: str) -> str:
    """The stream's units where they concern a group: "m" of a pose is said of its position alone."""
    found = stream.form.units
    if not found:
        return ""
    if convertible(found, _own_units(stream, group)):
        return found
    if any(convertible(found, _own_units(stream, other)) for other in groups):
        return ""
    raise _wrong_form(stream, group, "units", found, group.units, where)


def _own_units(stream: Stream, group: Group) -> str:
    """What the numbers of a group count in before they are converted; a quaternion counts nothing."""
    form = (stream.form.rotation or group.rotation) if group.rotation else ""
    if not form:
        return group.units
    if form not in ANGLE_FORMS:
        return ""
    return group.units if group.rotation in ANGLE_FORMS else "rad"


def _wrong_form(stream: Stream, group: Group, field: str, found: Any, expected: Any, where: str) -> EpisodeError:
    return EpisodeError(
        f"stream {stream.name!r}: {field} is {found!r}, group {group.name!r} expects {expected!r}",
        where=where,
        hint="Correct its mapping or the embodiment, whichever is wrong",
        code="wrong_form",
    )
