"""Rotations and steps on the ticks of the dataset, where picking or averaging single numbers would be wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import numpy.typing as npt

from components.core.episode import Form, Stream
from components.core.errors import ContractError
from components.core.spec import ActionGroup, StateGroup
from components.ingest.align import Method, Times, Track, interpolate, interpolate_rotation
from components.ingest.conform import found_representation
from components.transforms.actions import ANGLE_FORMS, TOOL_FRAMES, as_written, step_between, turn
from components.transforms.rotations import invert, multiply
from components.transforms.units import quantity

Values = npt.NDArray[np.float64]

_QUATERNIONS = ("quaternion_xyzw", "quaternion_wxyz")
# Clocks that differ by less than this share tick together.
_SAME_RATE = 0.05


def state_track(stream: Stream, group: StateGroup) -> Track:
    """The track of a state group. A rotation between two samples lies on an arc, in whatever form it is written."""
    if not group.rotation or group.interpolate not in ("linear", "slerp"):
        return Track(stream, cast(Method, group.interpolate))
    if group.rotation in _QUATERNIONS:
        return Track(stream, "slerp")
    if group.rotation in ANGLE_FORMS and quantity(group.units) != "angle":
        raise ContractError(
            f"state group {group.name!r}: units is {group.units!r}, expected rad or deg to go along an arc"
        )
    values = turn(group, np.asarray(stream.values))
    return Track(replace(stream, values=values, names=(), form=Form(rotation=_QUATERNIONS[0])), "slerp")


def state_rotation(values: Values, track: Track, group: StateGroup) -> Values:
    """Undoes what `state_track` did to a rotation."""
    return as_written(group, values) if track.stream.form.rotation else values


def commands(
    recorded: Stream,
    cut_out: Stream,
    group: ActionGroup,
    picked: Values,
    ticks_ns: Times,
    *,
    fps: int,
    causal: bool,
    where: str,
) -> Values:
    """float64 [T, D] of an action group, given what was `picked` for each tick, as the group represents it.

    Places become steps: from the command before, or where the group is measured to what is measured next. Steps in a
    physical unit that were recorded at another rate are put together anew, so that no way is lost or gone twice; a
    share of a controller's limit is a speed and stays as it is.
    """
    found = found_representation(recorded, group, where=where)
    if found == "absolute" and group.representation == "step_delta":
        return _steps_between(group, picked)
    if group.representation != "step_delta" or group.gripper_open is not None or not _is_way(group):
        return picked
    if abs(recorded.rate_hz / fps - 1) <= _SAME_RATE or not recorded.rate_hz:
        return picked
    return _steps_anew(cut_out, group, ticks_ns, fps=fps, causal=causal)


def _is_way(group: ActionGroup) -> bool:
    return quantity(group.units) in ("length", "angle") or (group.rotation != "" and group.rotation not in ANGLE_FORMS)


def _steps_between(group: ActionGroup, places: Values) -> Values:
    steps = step_between(group, places[:-1], places[1:])
    still = step_between(group, places[:1], places[:1])
    return np.concatenate([steps, still] if group.measured else [still, steps])


def _steps_anew(stream: Stream, group: ActionGroup, ticks_ns: Times, *, fps: int, causal: bool) -> Values:
    """Each recorded step is gone evenly until the next one; a new step is what is gone in one tick."""
    order = np.argsort(stream.time_ns, kind="stable")
    time_ns, steps = stream.time_ns[order], np.asarray(stream.values, dtype=np.float64)[order]
    known_ns = np.append(time_ns, time_ns[-1] + round(1e9 / stream.rate_hz))
    edges_ns = np.append(ticks_ns, ticks_ns[-1] + round(1e9 / fps))
    if causal:
        edges_ns = edges_ns - round(1e9 / fps)
    if not group.rotation:
        way = np.concatenate([np.zeros((1, steps.shape[1])), np.cumsum(steps, axis=0)])
        return np.diff(interpolate(known_ns, way, edges_ns), axis=0)
    # Steps about the axes of the tool follow one another from the right: their inverses do so from the left.
    inside = group.frame in TOOL_FRAMES
    turns = turn(group, steps)
    way = np.empty((len(turns) + 1, 4))
    way[0] = (0.0, 0.0, 0.0, 1.0)
    for number, one in enumerate(invert(turns) if inside else turns):
        way[number + 1] = multiply(one, way[number])
    at = interpolate_rotation(known_ns, way, edges_ns)
    gone = multiply(at[1:], invert(at[:-1]))
    return as_written(group, invert(gone) if inside else gone)
