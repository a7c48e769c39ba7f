"""RLDS without TensorFlow: TFRecord shards in `<name>/1.0.0/`, one record an episode, and the files that describe them.

Each step has its observation and the action given at it, also the last one: `is_last` is set there, as most published
data sets of robots do. A reward is 1 in the last step of a success, which alone `is_terminal`. Sensor time is
`observation/time`. The sides of the split are splits of the data set.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.convert.options import Done, Options, batches
from components.convert.outgoing import Outgoing, outgoing
from components.convert.pictures import Coding, encoded
from components.convert.plan import Group, Names, Plan
from components.convert.rlds_features import FLAGS, PLAIN, REWARDS, VERSION, dataset_info, features
from components.core.errors import DatasetError
from components.core.files import write_json
from components.dataset.reader import Dataset
from components.formats.carried import CALIBRATION, CHECKSUM, EPISODE_ID, KEY, checksum
from components.formats.rlds.example import Values, example_bytes
from components.formats.rlds.own import INSTRUCTION, as_column
from components.formats.rlds.record import METADATA, STEPS
from components.formats.rlds.tfrecord import MAX_RECORD_BYTES, framed

_TIME = "observation/time"
_SPLIT = "train"

NAMES = Names(
    "rlds",
    column=lambda key: key.replace(".", "/"),
    image=lambda camera: f"observation/{camera}",
    depth=lambda camera: f"observation/{camera}_depth",
    time=_TIME,
    instruction=INSTRUCTION,
    reserved=(_TIME, INSTRUCTION, *FLAGS, *REWARDS),
)


def write(folder: Path, group: Group, options: Options, done: Done) -> list[Path]:
    """Shards of `options.per_file` records for each side of the split.

    Raises `DatasetError` where the dataset is damaged, a record would be too large, or an episode lacks a camera.
    """
    name = re.sub(r"[^a-z0-9]+", "_", group.name)
    target = folder / name / VERSION
    target.mkdir(parents=True)
    shapes: dict[str, set[tuple[int, ...]]] = {}
    splits: dict[str, tuple[list[int], int]] = {}
    words: dict[str, None] = {}
    files = []
    for split, items in _by_split(group).items():
        shards = list(batches(items, options.per_file))
        sizes = 0
        for number, shard in enumerate(shards):
            path = target / f"{name}-{split}.tfrecord-{number:05d}-of-{len(shards):05d}"
            with path.open("wb") as stream:
                for dataset, index in shard:
                    episode = outgoing(dataset, index, group.plan)
                    values = _values(episode, group.plan, options.pictures, shapes)
                    words |= dict.fromkeys(key.removeprefix(METADATA) for key in values if key.startswith(METADATA))
                    data = _record(values, episode)
                    sizes += len(data)
                    stream.writelines(framed(data))
                    done(len(episode))
            files.append(path)
        splits[split] = [len(shard) for shard in shards], sizes
    said = features(
        group.plan.columns,
        {source: (_common(found), _coding(found, options.pictures)) for source, found in shapes.items()},
        words,
        time=_TIME,
        instruction=INSTRUCTION,
    )
    about = f"Episodes of {group.plan.embodiment.name} at {group.plan.fps} Hz, converted by gripline."
    for file, value in (("features.json", said), ("dataset_info.json", dataset_info(name, splits, description=about))):
        write_json(target / file, value)
        files.append(target / file)
    return files


def _by_split(group: Group) -> dict[str, list[tuple[Dataset, int]]]:
    sides: dict[int, dict[int, str]] = {}
    found: dict[str, list[tuple[Dataset, int]]] = {}
    for dataset, index in group.items:
        if id(dataset) not in sides:
            table = dataset.table(["episode_index", "split"]).to_pydict()
            sides[id(dataset)] = dict(zip(table["episode_index"], table["split"], strict=True))
        found.setdefault(sides[id(dataset)][index] or _SPLIT, []).append((dataset, index))
    return dict(sorted(found.items()))


def _values(
    episode: Outgoing, plan: Plan, coding: Coding, shapes: dict[str, set[tuple[int, ...]]]
) -> dict[str, Values]:
    """The lists of a record by name; notes the shapes of its pictures. One camera is decoded at a time."""
    _require_depth(episode, plan)
    count = len(episode)
    last = np.arange(count) == count - 1
    won = last & episode.succeeded
    steps: dict[str, Values] = {
        "is_first": (np.arange(count) == 0).astype(np.int64),
        "is_last": last.astype(np.int64),
        "is_terminal": won.astype(np.int64),
        "reward": won.astype(np.float32),
        "discount": np.ones(count, np.float32),
        INSTRUCTION: [episode.words["instruction"].encode()] * count,
        _TIME: _list(episode.time_s),
    }
    checked = [STEPS + _TIME, *(STEPS + column.source for column in plan.columns)]
    steps |= {name: _list(values) for name, values in episode.columns.items()}
    for name, pictures in {**episode.images, **episode.depth}.items():
        seen = shapes.setdefault(name, set())
        steps[name] = [_encoded(picture, coding, seen) for picture in pictures]
    values = {STEPS + name: found for name, found in steps.items()}
    columns = {name: as_column(values[name]) for name in checked}
    own = {
        KEY: plan.carried(checked),
        EPISODE_ID: episode.episode_id,
        CHECKSUM: checksum(episode.episode_id, episode.words, columns),
        CALIBRATION: episode.calibration,
    }
    said = {name: word for name, word in episode.words.items() if name != "instruction"} | episode.notes | own
    return values | {METADATA + name: [word.encode()] for name, word in said.items()}


def _require_depth(episode: Outgoing, plan: Plan) -> None:
    missing = [camera for camera, source in plan.depth.items() if source not in episode.depth]
    if missing:
        raise DatasetError(
            f"it has no depth of {missing[0]!r}, and all records of a data set hold the same features",
            where=episode.where,
            hint="Leave it out with --episode, or convert to hdf5 or mcap",
        )


def _list(values: npt.NDArray[Any]) -> Values:
    """As a list of a record; what that cannot hold goes in as the bytes of each step."""
    if values.dtype == np.float32:
        return values.reshape(-1)
    if values.dtype.name in PLAIN:
        return values.reshape(-1).astype(np.int64)
    rows = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return [row.tobytes() for row in rows]


def _encoded(picture: npt.NDArray[Any], coding: Coding, seen: set[tuple[int, ...]]) -> bytes:
    seen.add((*picture.shape, 1) if picture.ndim == 2 else picture.shape)
    return encoded(picture, coding)


def _record(values: dict[str, Values], episode: Outgoing) -> bytes:
    hint = "Convert with --pictures jpeg, or to hdf5 or mcap"
    if sum(len(one) for found in values.values() if isinstance(found, list) for one in found) > MAX_RECORD_BYTES:
        raise DatasetError("its record would be larger than 2 GiB", where=episode.where, hint=hint)
    data = example_bytes(values)
    if len(data) > MAX_RECORD_BYTES:
        raise DatasetError("its record would be larger than 2 GiB", where=episode.where, hint=hint)
    return data


def _common(shapes: Sequence[tuple[int, ...]] | set[tuple[int, ...]]) -> tuple[int, ...]:
    """-1 where pictures differ."""
    return tuple(sizes[0] if len(set(sizes)) == 1 else -1 for sizes in zip(*sorted(shapes), strict=True))


def _coding(shapes: set[tuple[int, ...]], coding: Coding) -> str:
    """Depth is never JPEG."""
    return "png" if all(shape[-1] == 1 for shape in shapes) else coding
