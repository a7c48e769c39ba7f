"""Statistics of what remains, from metadata alone: those of the episodes that go are taken out of the sums."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.core.errors import DatasetError
from components.dataset.commit import resolve
from components.dataset.reader import Dataset
from components.dataset.statistics.merging import running_of
from components.dataset.stats import RunningStats

Values = npt.NDArray[Any]


def subtract_episodes(stats: Mapping[str, RunningStats], dataset: Dataset, doomed: npt.NDArray[np.bool_]) -> None:
    """Takes the episodes of the rows `doomed` (bool [N]) out of the statistics of all."""
    gone = running_of(dataset, dataset.indices[doomed], list(stats))
    for key in stats:
        limits = None
        if stats[key].holds_extremes(gone[key]):
            limits = _extremes(dataset, key, dataset.indices[~doomed])
        try:
            stats[key].subtract(gone[key], limits)
        except ValueError as error:
            raise DatasetError(
                f"statistics of {key!r} do not hold those of the episodes: {error}",
                where=str(dataset.root),
                hint="Restore the tree or run ingest again",
            ) from error


def _extremes(dataset: Dataset, key: str, numbers: npt.NDArray[np.int64]) -> tuple[Values, Values] | None:
    """Min and max of a feature over some episodes, None where none of them has a row that counts."""
    shape = dataset.stats[key]["min"].shape
    limits: list[tuple[Values, Values]] = []
    for name in sorted(name for name in dataset.listed if name.startswith("meta/episodes/")):
        path, columns = resolve(dataset.root, name), [f"stats/{key}/{part}" for part in ("min", "max", "count")]
        table = pq.read_table(path, columns=["episode_index", *columns])
        table = table.filter(pa.array(np.isin(table["episode_index"].to_numpy(), numbers)))
        if not table.num_rows:
            continue
        low, high, count = (_flat(table[column], table.num_rows) for column in columns)
        counted = count[:, 0] > 0
        if counted.any():
            limits.append((low[counted].min(axis=0), high[counted].max(axis=0)))
    if not limits:
        return None
    lows, highs = zip(*limits, strict=True)
    return np.min(lows, axis=0).reshape(shape), np.max(highs, axis=0).reshape(shape)


def _flat(column: pa.ChunkedArray, rows: int) -> Values:
    """Nested lists of one shape as [rows, D]."""
    values = column.combine_chunks()
    while pa.types.is_list(values.type):
        values = values.flatten()
    array: Values = values.to_numpy(zero_copy_only=False).reshape(rows, -1)
    return array
