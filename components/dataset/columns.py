"""Rows of the tree's tables from one episode: arrays to Arrow, statistics to nested lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.dataset.layout import Features, data_schema
from components.dataset.stats import STAT_NAMES, FeatureStats

Columns = dict[str, npt.NDArray[Any]]


def tick_columns(length: int, fps: int) -> Columns:
    """LeRobot's columns that depend on nothing but the length of an episode, [T]."""
    ticks = np.arange(length)
    return {"timestamp": (ticks / fps).astype(np.float32), "frame_index": ticks}


def place_columns(length: int, *, episode_index: int, first: int, task_index: int) -> Columns:
    """LeRobot's columns that say where in the dataset an episode is, [T]. `first`: index of its first frame."""
    return {
        "episode_index": np.full(length, episode_index),
        "index": np.arange(length) + first,
        "task_index": np.full(length, task_index),
    }


def data_table(columns: Mapping[str, npt.NDArray[Any]], features: Features) -> pa.Table:
    """One row a tick, in the order and the types of `features`."""
    schema = data_schema(features)
    arrays = []
    for column in schema:
        values = pa.array(np.ascontiguousarray(columns[column.name]).ravel())
        if pa.types.is_fixed_size_list(column.type):
            values = pa.FixedSizeListArray.from_arrays(values.cast(column.type.value_type), type=column.type)
        arrays.append(values.cast(column.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def stats_row(stats: Mapping[str, FeatureStats]) -> dict[str, Any]:
    """The `stats/<feature>/<name>` columns of meta/episodes."""
    return {f"stats/{key}/{name}": values[name].tolist() for key, values in stats.items() for name in STAT_NAMES}


def stats_from_row(row: Mapping[str, Any], key: str) -> FeatureStats:
    """Inverse of `stats_row` for one feature."""
    return {name: np.array(row[f"stats/{key}/{name}"]) for name in STAT_NAMES}


def stats_as_json(stats: Mapping[str, FeatureStats]) -> dict[str, Any]:
    """meta/stats.json."""
    return {key: {name: value.tolist() for name, value in values.items()} for key, values in stats.items()}


def stats_from_json(value: Mapping[str, Any]) -> dict[str, FeatureStats]:
    """Inverse of `stats_as_json`."""
    return {key: {name: np.array(part) for name, part in values.items()} for key, values in value.items()}
