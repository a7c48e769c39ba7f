"""Statistics of any episodes of any datasets, merged from those of each episode; no frame is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.core.errors import DatasetError
from components.dataset import layout
from components.dataset.commit import located
from components.dataset.sketch_files import measured_features
from components.dataset.stats import FeatureStats, RunningStats

if TYPE_CHECKING:
    from components.dataset.parts import Part
    from components.dataset.reader import Dataset

Values = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]
Running = dict[str, RunningStats]

_MERGED = ("min", "max", "mean", "std", "count")


def running_of(dataset: Dataset, indices: npt.ArrayLike, keys: Sequence[str] | None = None) -> Running:
    """Feature -> statistics over the episodes of these numbers; all features but `layout.PLACE_FEATURES`, or `keys`.

    Costs a row of meta/episodes and one of the sketches an episode. Raises `DatasetError` for a number that is not
    there, and for statistics of no episode.
    """
    wanted = np.unique(np.asarray(indices, np.int64))
    if not len(wanted):
        raise DatasetError("statistics of no episode", where=str(dataset.root))
    rows = np.array([dataset.index.at(index) for index in wanted.tolist()], np.int64)
    names = list(measured_features(dataset.features) if keys is None else keys)
    running = {key: RunningStats() for key in names}
    measured = _measured(dataset, rows, names)
    for stats, sketches in zip(measured, dataset.sketches.of(rows, names), strict=True):
        for key in names:
            running[key].add(stats[key], sketches[key])
    return running


def running_of_parts(parts: Iterable[Part], keys: Sequence[str] | None = None) -> Running:
    """The same over all episodes of `parts`; those of a whole dataset are read from its totals.

    A feature that some parts lack is counted where it is. Raises `DatasetError` where its width differs among them.
    """
    merged: Running = {}
    for part in parts:
        for key, running in _of_part(part, keys).items():
            try:
                merged.setdefault(key, RunningStats()).merge(running)
            except ValueError as error:
                raise DatasetError(f"feature {key!r}: {error} in other parts", where=part.name) from error
    return merged


def _of_part(part: Part, keys: Sequence[str] | None) -> Running:
    dataset = part.dataset
    if len(part) < len(dataset):
        return running_of(dataset, part.indices, keys)
    found = dataset.running()
    names = measured_features(dataset.features) if keys is None else keys
    return {key: found[key] for key in names}


def _measured(dataset: Dataset, rows: Indices, keys: Sequence[str]) -> Iterator[dict[str, FeatureStats]]:
    """Feature -> statistics `_MERGED` of each of the `rows` of the table of episodes, which ascend."""
    places = dataset.table(["episode_index", "meta/episodes/chunk_index", "meta/episodes/file_index"]).take(rows)
    episodes, chunks, files = (column.to_numpy() for column in places.columns)
    ends = np.flatnonzero(np.diff(chunks * np.int64(layout.CHUNKS_SIZE) + files)) + 1
    for run in np.split(np.arange(len(rows)), ends):
        name = layout.EPISODES_PATH.format(chunk_index=chunks[run[0]], file_index=files[run[0]])
        yield from _rows_of_file(dataset, name, episodes[run], keys)


def _rows_of_file(
    dataset: Dataset, name: str, episodes: Indices, keys: Sequence[str]
) -> Iterator[dict[str, FeatureStats]]:
    """One row group at a time."""
    path, found = dataset.root / name, 0
    lengths = dict(zip(episodes.tolist(), dataset.lengths[dataset.index.rows(episodes)].tolist(), strict=True))
    columns = ["episode_index", *(f"stats/{key}/{stat}" for key in keys for stat in _MERGED)]
    try:
        with located(dataset.root, name, pq.ParquetFile) as file:
            for group in range(file.num_row_groups):
                here = file.read_row_group(group, columns=["episode_index", "length"])
                numbers, rows = here["episode_index"].to_numpy(), here["length"].to_numpy()
                at = np.flatnonzero(np.isin(numbers, episodes))
                # A deleted episode has a row of length 0; a commit may have put it there since.
                at = at[[lengths[number] == row for number, row in zip(numbers[at].tolist(), rows[at], strict=True)]]
                found += len(at)
                if len(at):
                    yield from _stats(file.read_row_group(group, columns=columns).take(at), dataset.features, keys)
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"unreadable: {error}", where=str(path), hint="Restore it or run ingest again") from error
    if found != len(episodes):
        wrong = f"statistics of {found} episodes, expected {len(episodes)}"
        raise DatasetError(wrong, where=str(path), hint="Where it has changed since it was opened, open it again")


def _stats(table: pa.Table, features: Mapping[str, Any], keys: Sequence[str]) -> Iterator[dict[str, FeatureStats]]:
    columns = {(key, stat): _flat(table[f"stats/{key}/{stat}"]) for key in keys for stat in _MERGED}
    shapes = {key: (-1, 1, 1) if features[key]["dtype"] == "video" else (-1,) for key in keys}
    for row in range(table.num_rows):
        yield {
            key: {stat: columns[key, stat][row].reshape((-1,) if stat == "count" else shapes[key]) for stat in _MERGED}
            for key in keys
        }


def _flat(column: pa.ChunkedArray) -> Values:
    """[rows, D] of lists of equal length, however deep."""
    values, rows = column.combine_chunks(), len(column)
    while pa.types.is_list(values.type):
        values = values.flatten()
    numbers: Values = values.to_numpy(zero_copy_only=False)
    return numbers.reshape(rows, -1)
