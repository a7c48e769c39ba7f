"""Rows of the tree's tables from one episode: arrays to Arrow, statistics to nested lists."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.dataset.frames import EpisodeFrames
from components.dataset.layout import ACTION, STATE, TIME, Features, data_schema, image_key
from components.dataset.stats import STAT_NAMES, FeatureStats, image_stats, numeric_stats

Columns = dict[str, npt.NDArray[Any]]


def episode_columns(episode: EpisodeFrames, *, fps: int, episode_index: int, first: int, task_index: int) -> Columns:
    """Every numeric column of an episode: vectors [T, D], the others [T]. `first`: index of its first frame."""
    ticks = np.arange(len(episode))
    return {
        STATE: episode.state,
        **episode.extras,
        TIME: episode.time_s,
        ACTION: episode.action,
        "timestamp": (ticks / fps).astype(np.float32),
        "frame_index": ticks,
        "episode_index": np.full(len(episode), episode_index),
        "index": ticks + first,
        "task_index": np.full(len(episode), task_index),
    }


def data_table(columns: Columns, features: Features) -> pa.Table:
    """One row a tick, in the order and the types of `features`."""
    schema = data_schema(features)
    arrays = []
    for column in schema:
        values = pa.array(np.ascontiguousarray(columns[column.name]).ravel())
        if pa.types.is_fixed_size_list(column.type):
            values = pa.FixedSizeListArray.from_arrays(values.cast(column.type.value_type), type=column.type)
        arrays.append(values.cast(column.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def episode_stats(episode: EpisodeFrames, columns: Columns) -> dict[str, FeatureStats]:
    """Statistics of every feature of one episode, cameras included."""
    stats = {image_key(camera): image_stats(frames) for camera, frames in episode.images.items()}
    return stats | {key: numeric_stats(values) for key, values in columns.items()}


def stats_row(stats: dict[str, FeatureStats]) -> dict[str, Any]:
    """The `stats/<feature>/<name>` columns of meta/episodes."""
    return {f"stats/{key}/{name}": values[name].tolist() for key, values in stats.items() for name in STAT_NAMES}


def stats_from_row(row: dict[str, Any], key: str) -> FeatureStats:
    """Inverse of `stats_row` for one feature."""
    return {name: np.array(row[f"stats/{key}/{name}"]) for name in STAT_NAMES}


def stats_as_json(stats: dict[str, FeatureStats]) -> dict[str, Any]:
    """meta/stats.json."""
    return {key: {name: value.tolist() for name, value in values.items()} for key, values in stats.items()}


def stats_from_json(value: dict[str, Any]) -> dict[str, FeatureStats]:
    """Inverse of `stats_as_json`."""
    return {key: {name: np.array(part) for name, part in values.items()} for key, values in value.items()}
