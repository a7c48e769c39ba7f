"""The episode table: every episode of a dataset reduced to one row, by as many processes as are allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
from tqdm import tqdm

from components.checks.clocks import StreamRow
from components.checks.reduce import Meta, reduce_episode
from components.core.errors import DatasetError
from components.core.params import Checks, workers
from components.core.spread import spread
from components.dataset.reader import Dataset

# Below this many episodes a second process costs more than it saves.
_WORTH_A_POOL = 64
_CHUNK = 8


def episode_table(root: Path, params: Checks) -> pd.DataFrame:
    """One row per episode of the dataset at `root`, by episode_index. Raises `DatasetError` where there is none."""
    indices = Dataset.open(root).indices.tolist()
    if not indices:
        raise DatasetError("holds no episode", where=str(root), hint="See data/ingest.json for what was set aside")
    rows = list(tqdm(_rows(root, params, indices), total=len(indices), unit="episode", desc="check", disable=None))
    return mark_duplicates(pd.DataFrame(rows), params.idle_motion_m)


class Reducer:
    """Reduces episodes of one dataset; makes what they share once."""

    def __init__(self, root: Path, params: Checks) -> None:
        self._dataset = Dataset.open(root)
        self._black_level = params.black_level
        identities = records(self._dataset.episodes)
        self._identities = dict(zip(self._dataset.indices.tolist(), identities, strict=True))
        self._streams: dict[str, list[StreamRow]] = {row["episode_id"]: [] for row in identities}
        for row in records(self._dataset.streams):
            self._streams[row["episode_id"]].append(row)
        self._nominal = nominal_rates(identities, self._streams)

    def reduce(self, episode_index: int) -> dict[str, Any]:
        row, dataset = self._identities[episode_index], self._dataset
        meta = Meta(
            row, dataset.fps, dataset.embodiment, self._black_level, nominal_hz=self._nominal[row["source_format"]]
        )
        images = {camera: dataset.images(episode_index, camera) for camera in dataset.cameras}
        return reduce_episode(dataset.frames(episode_index), images, self._streams[row["episode_id"]], meta)


def nominal_rates(
    identities: Sequence[Mapping[str, Any]], streams: Mapping[str, Sequence[StreamRow]]
) -> dict[str, dict[str, float]]:
    """Source format -> stream -> median over the episodes of the stream's rate in Hz."""
    rates: dict[tuple[str, str], list[float]] = {}
    for episode in identities:
        for row in streams[episode["episode_id"]]:
            rates.setdefault((episode["source_format"], row["stream"]), []).append(row["rate_hz"])
    found: dict[str, dict[str, float]] = {episode["source_format"]: {} for episode in identities}
    for (source_format, stream), values in rates.items():
        found[source_format][stream] = median(values)
    return found


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table whose columns have names."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def mark_duplicates(table: pd.DataFrame, idle_motion_m: float) -> pd.DataFrame:
    """Adds `duplicate_of`: id of the earliest recorded episode with the same pixels or the same motion, or "".

    Arms that stand still all move alike, so motion counts only from `idle_motion_m` on.
    """
    first: dict[str, str] = {}
    found: dict[str, str] = {}
    for row in records(table.sort_values(["recorded_at", "source_uri", "episode_id"])):
        keys = [f"pixels {row['pixel_sha256']}"]
        if row["motion_m"] >= idle_motion_m:
            keys.append(f"motion {row['motion_sha256']}")
        original = next((first[key] for key in keys if key in first), "")
        found[row["episode_id"]] = original
        for key in keys:
            first.setdefault(key, original or row["episode_id"])
    return table.assign(duplicate_of=table["episode_id"].map(found))


def _rows(root: Path, params: Checks, indices: list[int]) -> Iterator[dict[str, Any]]:
    processes = min(workers(), -(-len(indices) // _CHUNK)) if len(indices) >= _WORTH_A_POOL else 1
    opened = partial(_opened, root, params)
    return spread(Reducer.reduce, indices, opened, processes=processes, name="a process", chunk=_CHUNK)


@contextmanager
def _opened(root: Path, params: Checks) -> Iterator[Reducer]:
    yield Reducer(root, params)
