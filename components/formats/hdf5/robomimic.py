"""robomimic: `data/demo_N` with `obs/...` and `actions`, one clock for all; our own recordings add `time` and words.

Layout: robomimic, docs/datasets/overview and scripts/dataset_states_to_obs.py (images upright, depth in metres).
"""

from __future__ import annotations

import h5py

from components.core.errors import FormatError
from components.formats.hdf5.calibration import stated_calibration
from components.formats.hdf5.dialect import DATA, Dialect, Scene, some_demo_has
from components.formats.hdf5.file import find, members
from components.formats.hdf5.guess import rules
from components.formats.hdf5.values import attribute_json, attribute_texts, dataset_texts, text
from components.formats.mapping import StreamRule

# Both tools step the simulated robot at 20 Hz where they do not say otherwise.
DEFAULT_RATE_HZ = 20.0
MASK = "mask"
_LANGUAGE = ("instruction", "language_instruction", "language", "lang")


def recognises(root: h5py.File, demos: list[str], where: str) -> bool:
    """By `obs` in a demo, or by the attribute that robomimic's tools need."""
    if "env_args" in root[DATA].attrs:
        return True
    return some_demo_has(root, demos, "obs", where=where)


def streams(scene: Scene) -> dict[str, StreamRule]:
    found = scene.datasets
    wanted = [name for name in found if name.startswith(("obs/", "action"))]
    return rules(found, wanted, where=scene.where)


def describe(scene: Scene) -> dict[str, str]:
    """What the demo says of itself; the name of the environment is its task where nothing else is."""
    words = attribute_texts(scene.group, where=scene.where)
    meta = attribute_json(scene.group, "ep_meta", where=scene.where)
    spoken = [words.pop(key) for key in _LANGUAGE if key in words]
    words["instruction"] = next(iter(spoken), "") or text(meta.get("lang", ""))
    if not words.get("task"):
        words["task"] = text(environment(scene).get("env_name", ""))
    words[MASK] = ",".join(masks_of(scene))
    return words


def environment(scene: Scene) -> dict[str, object]:
    """The arguments that the simulated world was made with: `env_args` (robomimic) or `env_info` (robosuite)."""
    for name in ("env_args", "env_info"):
        found = attribute_json(scene.data, name, where=scene.where)
        if found:
            return found
    return {}


def rate(scene: Scene) -> float:
    """The control rate of the environment, where it is told."""
    found = environment(scene)
    inner = found.get("env_kwargs")
    told = (inner if isinstance(inner, dict) else found).get("control_freq")
    return float(told) if isinstance(told, int | float) and 0 < told <= 10_000 else DEFAULT_RATE_HZ


def masks_of(scene: Scene) -> list[str]:
    """Names of the lists in `mask` that an episode is on. Damaged lists are reported when the file is opened."""
    return [name for name, demos in masks(scene.root, where=scene.where).items() if scene.part in demos]


def masks(root: h5py.File, *, where: str, problems: list[FormatError] | None = None) -> dict[str, list[str]]:
    """The lists of demos in `mask`, without those that are damaged; `problems` gets what is wrong with them."""
    found: dict[str, list[str]] = {}
    try:
        group = find(root, MASK, where=where)
        if not isinstance(group, h5py.Group):
            return {}
        names = members(group, where=f"{where}#{MASK}")
    except FormatError as error:
        if problems is not None:
            problems.append(error)
        return {}
    for name in names:
        try:
            found[name] = dataset_texts(group, name, where=f"{where}#{MASK}")
        except FormatError as error:
            if problems is not None:
                problems.append(error)
    return found


ROBOMIMIC = Dialect("robomimic", recognises, streams, describe=describe, rate=rate, calibration=stated_calibration)
