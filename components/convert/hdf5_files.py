"""HDF5 in the layout of robomimic: `data/demo_N` with `obs/...`, `actions`, `rewards` and `dones`, many in a file.

Layout: robomimic, docs/datasets/overview. Pictures are raw arrays without loss; `next_obs` is left out, for it says
what the next step's `obs` says. A reward is 1 in the last step of a success, else 0; only a last step is done.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from components.convert.options import Done, Options, batches
from components.convert.outgoing import Outgoing, outgoing
from components.convert.plan import Group, Names, Plan
from components.core.errors import DatasetError
from components.formats.carried import CALIBRATION, CHECKSUM, EPISODE_ID, KEY, checksum

_TIME = "time"
_OWN = ("rewards", "dones", _TIME, CALIBRATION)
# The names that robomimic's tools have for the sides of a split.
_MASKS = {"train": "train", "val": "valid"}
# robomimic's code for environments of the gym family.
_ENVIRONMENT_TYPE = 2
# Level 1 takes a third of the size of raw pixels; a chunk is a picture, so that one can be read alone.
_PICTURES: dict[str, Any] = {"compression": "gzip", "compression_opts": 1}


def _column(key: str) -> str:
    if key == "action":
        return "actions"
    return key.replace("observation.", "obs.", 1).replace(".", "/")


NAMES = Names(
    "hdf5",
    column=_column,
    image=lambda camera: f"obs/{camera}_image",
    depth=lambda camera: f"obs/{camera}_depth",
    time=_TIME,
    instruction="instruction",
    reserved=_OWN,
)


def write(folder: Path, group: Group, options: Options, done: Done) -> list[Path]:
    """Files of `options.per_file` demos each. Raises `DatasetError` where the dataset is damaged."""
    files = []
    for number, items in enumerate(batches(group.items, options.per_file)):
        path = folder / f"{group.name}-{number:05d}.hdf5"
        _write_file(path, group.plan, items, done)
        files.append(path)
    return files


def _write_file(path: Path, plan: Plan, items: Sequence[tuple[Any, int]], done: Done) -> None:
    checked = [*(column.source for column in plan.columns), _TIME]
    masks: dict[str, list[str]] = {}
    total = 0
    with h5py.File(path, "w") as file:
        _put_text(file, KEY, plan.carried(checked))
        data = file.create_group("data")
        for number, (dataset, index) in enumerate(items):
            episode, name = outgoing(dataset, index, plan), f"demo_{number}"
            _write_demo(data.create_group(name), episode)
            masks.setdefault(_MASKS.get(episode.notes["split"], ""), []).append(name)
            total += len(episode)
            done(len(episode))
        data.attrs["total"] = total
        data.attrs["env_args"] = json.dumps(_env_args(plan), sort_keys=True)
        for mask, demos in sorted(masks.items()):
            if mask:
                file.create_dataset(f"mask/{mask}", data=np.array(demos, dtype="S"), track_times=False)


def _env_args(plan: Plan) -> dict[str, Any]:
    kwargs = {"control_freq": plan.fps, "embodiment": plan.embodiment.name}
    return {"env_name": plan.embodiment.name, "type": _ENVIRONMENT_TYPE, "env_kwargs": kwargs}


def _write_demo(group: h5py.Group, episode: Outgoing) -> None:
    columns = {**episode.columns, _TIME: episode.time_s}
    for name, values in columns.items():
        group.create_dataset(name, data=values, track_times=False)
    for name, pictures in {**episode.images, **episode.depth}.items():
        _put_pictures(group, name, pictures)
    last = np.arange(len(episode)) == len(episode) - 1
    group.create_dataset("dones", data=last.astype(np.int64), track_times=False)
    group.create_dataset("rewards", data=(last & episode.succeeded).astype(np.float64), track_times=False)
    if episode.calibration:
        _put_text(group, CALIBRATION, episode.calibration)
    group.attrs["num_samples"] = len(episode)
    marks = {EPISODE_ID: episode.episode_id, CHECKSUM: checksum(episode.episode_id, episode.words, columns)}
    for key, value in (episode.words | episode.notes | marks).items():
        try:
            group.attrs[key] = value
        except ValueError as error:
            # The library takes no words with a zero byte.
            raise DatasetError(f"{key} cannot be written as an attribute ({error})", where=episode.where) from error


def _put_pictures(group: h5py.Group, name: str, pictures: Sequence[npt.NDArray[Any]]) -> None:
    """Picture by picture: one is in memory."""
    first = pictures[0]
    target = group.create_dataset(
        name, (len(pictures), *first.shape), first.dtype, chunks=(1, *first.shape), track_times=False, **_PICTURES
    )
    for number, picture in enumerate(pictures):
        target[number] = picture


def _put_text(group: h5py.Group, name: str, text: str) -> None:
    """A document is a dataset of its own, in one piece; only words are attributes."""
    data = text.encode()
    kind = h5py.string_dtype("utf-8", len(data))
    group.create_dataset(name, data=np.array(data, dtype=kind), dtype=kind, track_times=False)
