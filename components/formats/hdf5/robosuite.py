"""robosuite's own demo.hdf5 of every writer since 2018: simulator states and commands, no images, no words.

Layout: robosuite, scripts/collect_human_demonstrations.py. Demos are `demo_N` or `demoN`; before 1.0 there is no
`actions` but what the controllers were given (`joint_velocities`, `right_dpos` ...), for arms that the robot may not
have (width 0). The first number of a state is the time of the simulation in seconds.
"""

from __future__ import annotations

from datetime import datetime

import h5py
import numpy as np

from components.core.errors import EpisodeError
from components.formats.assemble import Times, library_errors, times_from_seconds
from components.formats.hdf5.calibration import stated_calibration
from components.formats.hdf5.dialect import DATA, Dialect, Scene, some_demo_has
from components.formats.hdf5.file import find, place, require_bounded
from components.formats.hdf5.guess import kind_of
from components.formats.hdf5.robomimic import environment, rate
from components.formats.hdf5.values import attribute_text, attribute_texts
from components.formats.mapping import StreamRule, short_name

STATES = "states"


def recognises(root: h5py.File, demos: list[str], where: str) -> bool:
    """By the words of its writers, or by simulator states in a demo."""
    if any(name in root[DATA].attrs for name in ("env_info", "repository_version")):
        return True
    return some_demo_has(root, demos, STATES, where=where)


def streams(scene: Scene) -> dict[str, StreamRule]:
    """`states` is a state; whatever else has a row a step is what some controller was given."""
    found = scene.datasets
    made: dict[str, StreamRule] = {}
    for name, dataset in found.items():
        kind = kind_of(name, dataset, where=scene.where)
        if kind in ("state", "action", "force"):
            stream = "action" if name == "actions" else short_name(name, {*made, "action"})
            made[stream] = StreamRule(source=name, kind="state" if name == STATES else "action")
    return made


def clock(scene: Scene) -> Times | None:
    """int64 [N] ns of simulated time. Raises `EpisodeError` (bad_time) and `FormatError`."""
    states = find(scene.group, STATES, where=scene.where)
    if not isinstance(states, h5py.Dataset):
        return None
    at = place(scene.where, STATES)
    require_bounded(states, where=at)
    with library_errors(at, code="bad_dataset"):
        if states.ndim != 2 or states.shape[1] < 1 or not states.shape[0]:
            return None
        seconds = np.asarray(states[:, 0])
    times = times_from_seconds(seconds, f"{STATES}[:, 0]", where=scene.where)
    if len(times) > 1 and (np.diff(times) <= 0).all():
        raise EpisodeError(
            f"{STATES}[:, 0] is no clock, it never goes forward",
            where=scene.where,
            hint="Say `rate_hz` and `time` in a mapping",
            code="bad_time",
        )
    return times


def describe(scene: Scene) -> dict[str, str]:
    words = attribute_texts(scene.group, where=scene.where)
    told = {name: attribute_text(scene.data, name, where=scene.where) for name in ("env", "repository_version")}
    if not words.get("task"):
        words["task"] = str(environment(scene).get("env_name", "") or told["env"])
    words["repository_version"] = told["repository_version"]
    words["recorded_at"] = words.get("recorded_at", "") or _recorded_at(scene)
    return words


def _recorded_at(scene: Scene) -> str:
    """ "10-24-2018" and "17:40:19", the local time of nobody knows where."""
    date, time = (attribute_text(scene.data, name, where=scene.where) for name in ("date", "time"))
    try:
        return datetime.strptime(f"{date} {time}", "%m-%d-%Y %H:%M:%S").isoformat()
    except ValueError:
        return ""


ROBOSUITE = Dialect(
    "robosuite",
    recognises,
    streams,
    describe=describe,
    clock=clock,
    rate=rate,
    calibration=stated_calibration,
    needs_action=False,
)
