"""Every episode of a dataset as one row of measures, made by as many processes as are allowed, in flat memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from components.checks.channels import TIME, Channels
from components.checks.measure.pictures import CameraFacts
from components.checks.reduce import Reduction
from components.checks.remembered import KEY, keys_of, recall, remember, settings_of
from components.core.errors import DatasetError
from components.core.params import Checks, workers
from components.core.spread import spread
from components.dataset.index_schema import EPISODE_COLUMNS
from components.dataset.luma import LumaReader
from components.dataset.reader import Dataset

# Episodes that a process takes at once: they follow each other in the files.
_CHUNK = 16
# Below this many episodes a second process costs more than it saves.
_WORTH_A_POOL = 64
_LARGEST = float(np.finfo(np.float32).max)
# Facts of each recorded stream, see `dataset.frames.STREAM_COLUMNS`.
STREAMS = "streams"


def measure_dataset(root: Path, params: Checks, *, pictures: bool = True, remembered: Path | None = None) -> pa.Table:
    """One row an episode of the dataset at `root`, by episode_index: who it is, `Reduction.row`, and its `streams`.

    `remembered`: file that keeps rows from one run to the next, so that only new episodes are read. Raises
    `DatasetError` where there is no dataset, or one that cannot be read.
    """
    dataset = Dataset.open(root)
    if not len(dataset):
        raise DatasetError("holds no episode", where=str(root), hint="See data/ingest.json for what was set aside")
    settings = settings_of(dataset, black_level=params.black_level, pictures=pictures)
    keys, known = keys_of(dataset), recall(remembered, settings)
    place = pc.index_in(keys, value_set=known[KEY].combine_chunks()) if known else pa.nulls(len(keys), pa.int32())
    missing = np.flatnonzero(np.asarray(place.is_null().to_numpy(zero_copy_only=False)))
    fresh = _measured(root, params, pictures, dataset.indices[missing].tolist())
    # In one piece, so that a file of it has the same bytes whatever was known before.
    measures = _put_together(known, place, fresh, missing).combine_chunks()
    # Also what left the dataset is forgotten.
    if remembered is not None and (known is None or len(missing) or len(known) != len(keys)):
        remember(remembered, measures.append_column(KEY, keys), settings)
    identity = dataset.table([name for name in EPISODE_COLUMNS if name != "length"])
    for name in identity.column_names:
        measures = measures.append_column(name, _plain(identity[name]))
    return measures.append_column(STREAMS, _streams(dataset))


def _measured(root: Path, params: Checks, pictures: bool, indices: list[int]) -> list[pa.RecordBatch]:
    chunks = [indices[start : start + _CHUNK] for start in range(0, len(indices), _CHUNK)]
    processes = min(workers(), len(chunks)) if len(indices) >= _WORTH_A_POOL else 1
    opened = partial(_opened, root, params, pictures)
    batches = []
    with tqdm(total=len(indices), unit="episode", desc="check", disable=None) as bar:
        for batch in spread(Reducer.reduce, chunks, opened, processes=processes, name="a process", chunk=1):
            batches.append(batch)
            bar.update(batch.num_rows)
    return batches


def _put_together(
    known: pa.Table | None, place: pa.Array, fresh: list[pa.RecordBatch], missing: npt.NDArray[np.int64]
) -> pa.Table:
    """Rows that were known, at `place` among the known ones, and fresh ones where that is null, at `missing`."""
    if known is None:
        return pa.Table.from_batches(fresh)
    known = known.drop_columns([KEY])
    if not fresh:
        return known.take(place)
    every = pa.concat_tables([known, pa.Table.from_batches(fresh)])
    rows = place.to_numpy(zero_copy_only=False).copy()
    rows[missing] = len(known) + np.arange(len(missing))
    return every.take(pa.array(rows.astype(np.int64)))


class Reducer:
    """Reduces episodes of one dataset, those that follow each other at the least cost."""

    def __init__(self, dataset: Dataset, params: Checks, *, pictures: bool = True) -> None:
        self._dataset = dataset
        self._channels = Channels(dataset.embodiment)
        self._black_level = params.black_level
        self._videos = {camera: LumaReader() for camera in dataset.cameras} if pictures else {}

    def reduce(self, indices: Sequence[int]) -> pa.RecordBatch:
        return as_batch([self.row(index) for index in indices])

    def row(self, index: int) -> dict[str, Any]:
        dataset = self._dataset
        frames = dataset.frames(index, (*self._channels.features, TIME))
        reduction = Reduction(frames, self._channels, fps=dataset.fps, black_level=self._black_level)
        for camera, video in self._videos.items():
            place = dataset.video_place(index, camera)
            facts = CameraFacts(place.length)
            for block in video.read(place, dataset.fps):
                facts.take([block], full_range=video.full_range)
            reduction.add_camera(camera, facts)
        return reduction.row()

    def close(self) -> None:
        for video in self._videos.values():
            video.close()


def as_batch(rows: Sequence[dict[str, Any]]) -> pa.RecordBatch:
    """Rows side by side: numbers as float64, vectors as lists of float32, hashes as lists of int64."""
    columns = {}
    for name, first in rows[0].items():
        values = [row[name] for row in rows]
        if isinstance(first, np.ndarray):
            ends = np.arange(len(rows) + 1, dtype=np.int32) * len(first)
            columns[name] = pa.ListArray.from_arrays(ends, _narrow(np.concatenate(values)))
        elif isinstance(first, list):
            columns[name] = pa.array(values, pa.list_(pa.int64()))
        else:
            columns[name] = pa.array(values, pa.string() if isinstance(first, str) else pa.float64())
    return pa.RecordBatch.from_pydict(columns)


def _narrow(values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """As float32. What is too large for it becomes its largest number: an infinity would spoil fits over all rows."""
    return np.clip(values, -_LARGEST, _LARGEST).astype(np.float32)


@contextmanager
def _opened(root: Path, params: Checks, pictures: bool) -> Iterator[Reducer]:
    reducer = Reducer(Dataset.open(root), params, pictures=pictures)
    try:
        yield reducer
    finally:
        reducer.close()


def _streams(dataset: Dataset) -> pa.ChunkedArray:
    """list<struct> per episode, in the order of the dataset."""
    rows = pa.Table.from_pandas(dataset.streams, preserve_index=False)
    ids = _plain(dataset.table(["episode_id"])["episode_id"]).combine_chunks()
    owner = pc.index_in(rows["episode_id"].combine_chunks().cast(pa.string()), value_set=ids).to_numpy(
        zero_copy_only=False
    )
    order = np.argsort(owner, kind="stable")
    ends = np.searchsorted(owner[order], np.arange(len(ids) + 1))
    facts = rows.drop_columns(["episode_id"]).take(pa.array(order))
    packed = pa.StructArray.from_arrays(
        [_plain(facts[name]).combine_chunks() for name in facts.column_names], names=facts.column_names
    )
    return pa.chunked_array([pa.ListArray.from_arrays(pa.array(ends, pa.int32()), packed)])


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
