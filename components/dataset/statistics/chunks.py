"""Actions as a policy would be taught them: as recorded, as steps, or relative to where a chunk begins.

The words are those of `transforms.actions`. Grippers stay as they are. The reference of a chunk is the state where the
state has a group like that of the actions, otherwise the action before the chunk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from components.core.errors import ContractError
from components.core.spec import REPRESENTATIONS, ActionGroup, Embodiment, StateGroup
from components.transforms.actions import RelativeActions, step_between, step_on

Values = npt.NDArray[np.float64]

STATE_REFERENCE, ACTION_REFERENCE, NO_REFERENCE = "state", "action before", ""


@dataclass(frozen=True)
class Frames:
    """Some whole episodes, one after the other: `state` [N, S], `action` [N, A], `episode` int64 [N], ascending."""

    state: Values
    action: Values
    episode: npt.NDArray[np.int64]

    def ahead(self, step: int) -> npt.NDArray[np.int64]:
        """The frames that have one `step` frames after them in the same episode."""
        last = max(len(self.episode) - step, 0)
        return np.flatnonzero(self.episode[:last] == self.episode[len(self.episode) - last :])


@dataclass(frozen=True)
class _Columns:
    """`state`: columns of the like state group, where it is the reference."""

    group: ActionGroup
    action: slice
    state: slice | None


class Represented:
    """The actions of one embodiment in a `representation`, over a `horizon` of steps (1 but for "chunk_relative").

    Raises `ContractError` for a representation that cannot be had from what is recorded.
    """

    def __init__(self, embodiment: Embodiment, representation: str, horizon: int) -> None:
        if representation not in REPRESENTATIONS:
            raise ContractError(f"representation is {representation!r}, expected one of {', '.join(REPRESENTATIONS)}")
        if horizon < 1 or (horizon > 1 and representation != "chunk_relative"):
            raise ContractError(
                f"a horizon of {horizon} for {representation}", hint="Only chunks have more than 1 step"
            )
        self.representation = representation
        self.horizon = horizon
        self._columns = tuple(_columns_of(embodiment))
        for columns in self._columns:
            _require_possible(columns.group, representation)

    @property
    def references(self) -> dict[str, str]:
        """Group -> what its actions are relative to: "state", "action before", or "" where they are as recorded."""
        return {columns.group.name: self._reference(columns) for columns in self._columns}

    def steps(self, frames: Frames) -> Iterator[tuple[npt.NDArray[np.int64], Values]]:
        """For each step of the horizon: the frames [M] that have such an action, and it [M, A]."""
        sums = frames.action.copy()
        first = self._first_frames(frames)
        for step in range(self.horizon):
            here = frames.ahead(step)
            # NaN and infinity are left to the caller.
            with np.errstate(invalid="ignore"):
                if step:
                    self._go_on(sums, frames.action, here, step)
                here = here[~first[here]]
                found = self._actions(frames, sums, here, step)
            yield here, found

    def _first_frames(self, frames: Frames) -> npt.NDArray[np.bool_]:
        """Frames without the action before that some group needs, [N]."""
        needed = ACTION_REFERENCE in self.references.values()
        return needed & (np.diff(frames.episode, prepend=-1) != 0)

    def _reference(self, columns: _Columns) -> str:
        if self.representation == "absolute" or _stays(columns.group) or columns.group.representation == "step_delta":
            return NO_REFERENCE
        if self.representation == "chunk_relative" and columns.state is not None:
            return STATE_REFERENCE
        return ACTION_REFERENCE

    def _go_on(self, sums: Values, action: Values, here: npt.NDArray[np.int64], step: int) -> None:
        """Composes what was recorded as steps: `sums` of the frames `here` go one step further."""
        for columns in self._columns:
            group, at = columns.group, columns.action
            if group.representation == "step_delta" and not _stays(group):
                sums[here, at] = step_on(group, sums[here, at], action[here + step, at])

    def _actions(self, frames: Frames, sums: Values, here: npt.NDArray[np.int64], step: int) -> Values:
        out = frames.action[here + step]
        for columns in self._columns:
            group, at, reference = columns.group, columns.action, self._reference(columns)
            if reference == STATE_REFERENCE:
                out[:, at] = step_between(group, frames.state[here, columns.state], out[:, at])
            elif reference == ACTION_REFERENCE:
                out[:, at] = step_between(group, frames.action[here - 1, at], out[:, at])
            elif group.representation == "step_delta" and not _stays(group):
                out[:, at] = sums[here, at]
        return out


def _columns_of(embodiment: Embodiment) -> Iterator[_Columns]:
    places, first = {}, 0
    for group in embodiment.observation.state:
        places[group.name] = group, slice(first, first + len(group.names))
        first += len(group.names)
    first = 0
    for action in embodiment.action.groups:
        like = [at for group, at in places.values() if _alike(action, group)]
        yield _Columns(action, slice(first, first + len(action.names)), like[0] if like else None)
        first += len(action.names)


def _alike(action: ActionGroup, state: StateGroup) -> bool:
    """Whether the state holds the same thing as the action: called the same, in the same unit and form."""
    called = state.name == action.name or state.names == action.names
    form = (len(action.names), action.units, action.rotation)
    return called and form == (len(state.names), state.units, state.rotation)


def _stays(group: ActionGroup) -> bool:
    return group.gripper_open is not None


def _require_possible(group: ActionGroup, representation: str) -> None:
    if _stays(group) or representation == group.representation == "step_delta":
        return
    if group.representation == "step_delta" and representation == "absolute":
        raise ContractError(
            f"group {group.name!r} is recorded as steps; where they began is not known",
            hint="Ask for step_delta or chunk_relative",
        )
    # Refuses rotations that cannot be composed.
    RelativeActions((replace(group, representation=representation),))
