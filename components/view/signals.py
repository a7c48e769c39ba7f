"""The numbers of one episode as a person reads them: by group, with names and units, on sensor time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.episode import CONTROL_SOURCES
from components.core.spec import Embodiment
from components.dataset.layout import ACTION, STATE, TIME
from components.dataset.reader import Dataset

CONTROL = "control_source"


@dataclass(frozen=True, eq=False)
class Group:
    """Dimensions that belong together: `values` [T, D], one of `names` each, in `units`.

    `path`: "state/<group>", "action/<group>", or "extra/<stream>".
    """

    path: str
    names: tuple[str, ...]
    units: str
    values: npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Signals:
    """`time_s`: float64 [T], sensor time; `control`: int64 [T] into `CONTROL_SOURCES`, None where nobody says."""

    time_s: npt.NDArray[np.float64]
    groups: tuple[Group, ...]
    control: npt.NDArray[np.int64] | None

    def spans(self) -> list[dict[str, Any]]:
        """Who moved the robot: runs of ticks, from the first to before the last."""
        if self.control is None:
            return []
        starts = np.flatnonzero(np.diff(self.control, prepend=-1))
        ends = [*starts[1:].tolist(), len(self.control)]
        return [
            {"from": start, "to": end, "source": CONTROL_SOURCES[int(self.control[start])]}
            for start, end in zip(starts.tolist(), ends, strict=True)
        ]


def read_signals(dataset: Dataset, episode_index: int) -> Signals:
    """Every numeric column of an episode but those that LeRobot adds."""
    frames = dataset.frames(episode_index)
    body = dataset.embodiment
    groups = [
        *_cut("state", frames[STATE], [(g.name, g.names, g.units) for g in body.observation.state]),
        *_cut("action", frames[ACTION], [(g.name, g.names, g.units) for g in body.action.groups]),
    ]
    for stream, names, units in _kept(body):
        key = f"observation.{stream}"
        if key in frames:
            groups.append(Group(f"extra/{stream}", names, units, frames[key]))
    control = frames[CONTROL].reshape(-1).astype(np.int64) if CONTROL in frames else None
    return Signals(frames[TIME].reshape(-1), tuple(groups), control)


def _cut(head: str, values: npt.NDArray[Any], groups: list[tuple[str, tuple[str, ...], str]]) -> list[Group]:
    found, start = [], 0
    for name, names, units in groups:
        found.append(Group(f"{head}/{name}", names, units, values[:, start : start + len(names)]))
        start += len(names)
    return found


def _kept(body: Embodiment) -> list[tuple[str, tuple[str, ...], str]]:
    """Streams that the dataset has beside the state; groups of one stream lie one after the other."""
    streams: dict[str, list[Any]] = {}
    for group in body.observation.kept:
        streams.setdefault(group.stream, []).append(group)
    return [
        (
            stream,
            tuple(name for group in groups for name in group.names),
            ", ".join(dict.fromkeys(group.units for group in groups)),
        )
        for stream, groups in streams.items()
    ]
