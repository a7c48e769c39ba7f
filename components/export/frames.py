"""Frames of recorded episodes: the observations that an export is judged by."""

from __future__ import annotations

import numpy as np
import pandas as pd

from components.core.errors import DatasetError
from components.dataset.reader import Dataset
from components.export.observations import Observations, evenly

_MAX_EPISODES = 16


def sample(dataset: Dataset, count: int) -> Observations:
    """`count` frames (fewer where the dataset is smaller), evenly over validation episodes, or over all without any."""
    rows = dataset.episodes[dataset.episodes["split"] == "val"]
    rows = dataset.episodes if rows.empty else rows
    if rows.empty:
        raise DatasetError("no episode to measure parity on", hint="Ingest some recordings first")
    rows = rows.iloc[evenly(len(rows), _MAX_EPISODES)]
    share = -(-count // len(rows))
    parts = [_of_episode(dataset, row, share) for _, row in rows.iterrows()]
    # The first frames of all episodes, then the second ones: cutting to `count` drops no episode.
    order = sorted((place, part) for part in range(len(parts)) for place in range(len(parts[part])))
    starts = np.cumsum([0, *(len(part) for part in parts)])
    joined = Observations(
        {camera: np.concatenate([part.images[camera] for part in parts]) for camera in parts[0].images},
        np.concatenate([part.state for part in parts]),
        tuple(instruction for part in parts for instruction in part.instructions),
    )
    return joined.take([int(starts[part]) + place for place, part in order[:count]])


def _of_episode(dataset: Dataset, row: pd.Series, count: int) -> Observations:
    index = int(row["episode_index"])
    at = evenly(int(row["length"]), count)
    cameras = dataset.embodiment.observation.cameras
    return Observations(
        {camera: dataset.images(index, camera)[at] for camera in cameras},
        np.asarray(dataset.frames(index)["observation.state"], dtype=np.float32)[at],
        (str(row["instruction"]),) * len(at),
    )
