"""Statistics of actions in a representation, by step of a chunk. Reads numeric columns, a block of frames at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.core.errors import ContractError, DatasetError
from components.core.spec import require_same
from components.dataset import layout
from components.dataset.commit import resolve
from components.dataset.parquet_rows import ParquetRows
from components.dataset.sketch import Sketch
from components.dataset.statistics.cache import StatisticsCache, cache_key
from components.dataset.statistics.chunks import Frames, Represented
from components.dataset.stats import STAT_NAMES, FeatureStats, RunningStats, finite_rows

if TYPE_CHECKING:
    from components.dataset.parts import Part
    from components.dataset.reader import Dataset

Indices = npt.NDArray[np.int64]

# Frames that are looked at together; the result does not depend on it.
_BLOCK_FRAMES = 16384
_PLACE = ("data/chunk_index", "data/file_index", "data/row", "length", "episode_index")


@dataclass(frozen=True)
class ActionStatistics:
    """`steps`: one of A dimensions for each step of the horizon; `references`: as in `Represented`."""

    representation: str
    references: dict[str, str]
    steps: tuple[RunningStats, ...]

    @property
    def horizon(self) -> int:
        return len(self.steps)

    def result(self) -> FeatureStats:
        """Statistics of shape [H, A], `count` int64 [H]; [A] and [1] for a horizon of 1."""
        found = [step.result() for step in self.steps]
        if len(found) == 1:
            return found[0]
        stacked = {name: np.stack([stats[name] for stats in found]) for name in STAT_NAMES}
        return stacked | {"count": stacked["count"].ravel()}

    def overall(self) -> RunningStats:
        """Over all steps together: what openpi normalises by."""
        merged = RunningStats()
        for step in self.steps:
            merged.merge(step)
        return merged


def action_statistics(
    parts: Sequence[Part], representation: str, horizon: int = 1, cache: StatisticsCache | None = None
) -> ActionStatistics:
    """Over all episodes of `parts`, which are of one embodiment; independent of their order.

    Step h of a chunk counts where the episode goes on for h frames: nothing is repeated past its end. Frames with NaN
    are left out. What `cache` knows of a data file is not read again. Raises `ContractError` where the representation
    cannot be had or the embodiments differ, and `DatasetError` for damaged files.
    """
    if not parts:
        raise ContractError("statistics of no episode")
    embodiment = parts[0].dataset.embodiment
    for part in parts[1:]:
        require_same(embodiment, part.dataset.embodiment, where=part.name)
    represented = Represented(embodiment, representation, horizon)
    steps = tuple(RunningStats() for _ in range(horizon))
    for part in parts:
        for found in _files_of(part, represented, cache):
            for step, more in zip(steps, found, strict=True):
                step.merge(more)
    return ActionStatistics(representation, represented.references, steps)


def _files_of(
    part: Part, represented: Represented, cache: StatisticsCache | None
) -> Iterator[tuple[RunningStats, ...]]:
    """Of the chosen episodes of each data file."""
    dataset = part.dataset
    # First: a dataset that is not on this machine says so here; its table would only lack columns.
    listed = dataset.listed
    rows = np.searchsorted(dataset.indices, np.sort(part.indices))
    chunk, file, first, length, episode = (column.to_numpy() for column in dataset.table(_PLACE).take(rows).columns)
    names = chunk * np.int64(layout.CHUNKS_SIZE) + file
    for number in np.unique(names).tolist():
        at = np.flatnonzero(names == number)
        at = at[np.argsort(first[at], kind="stable")]
        name = layout.DATA_PATH.format(**layout.place(number))
        places = np.stack([first[at], length[at]], axis=1)
        key = cache_key(listed[name], represented.representation, represented.horizon, dataset.embodiment, places)
        known = cache.get(key) if cache else None
        if known is None:
            known = _file(dataset, name, places, episode[at], represented)
            if cache:
                cache.put(key, known)
        yield known


def _file(
    dataset: Dataset, name: str, places: Indices, episodes: Indices, represented: Represented
) -> tuple[RunningStats, ...]:
    width = dataset.embodiment.action.dim
    steps = tuple(RunningStats() for _ in range(represented.horizon))
    for block in _blocks(places):
        frames = _read(dataset, name, places[block], episodes[block])
        for running, (here, actions) in zip(steps, represented.steps(frames), strict=True):
            usable = finite_rows(actions)
            running.add_many(*_measured(actions[usable], frames.episode[here[usable]], width))
    return steps


def _blocks(places: Indices) -> Iterator[slice]:
    """Runs of episodes that lie side by side in a file, of at most `_BLOCK_FRAMES` frames where they are shorter."""
    first = 0
    for number in range(1, len(places) + 1):
        start, length = places[number - 1]
        frames = start + length - places[first, 0]
        if number == len(places) or places[number, 0] != start + length or frames + places[number, 1] > _BLOCK_FRAMES:
            yield slice(first, number)
            first = number


def _read(dataset: Dataset, name: str, places: Indices, episodes: Indices) -> Frames:
    start, count = int(places[0, 0]), int(places[:, 1].sum())
    path = resolve(dataset.root, name)
    table = ParquetRows(1).read(path, start, count, [layout.STATE, layout.ACTION, "episode_index"])
    episode = np.repeat(episodes, places[:, 1])
    if not np.array_equal(table["episode_index"].to_numpy(), episode):
        raise DatasetError(
            f"other episodes than {episodes[0]} to {episodes[-1]}",
            where=str(path),
            hint="Restore it or run ingest again",
        )
    return Frames(_rows(table[layout.STATE]), _rows(table[layout.ACTION]), episode)


def _rows(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """float64 [N, D] of a column of scalars or lists."""
    values, rows = column.combine_chunks(), len(column)
    if pa.types.is_fixed_size_list(values.type):
        values = values.flatten()
    return values.to_numpy(zero_copy_only=False).astype(np.float64).reshape(rows, -1)


def _measured(rows: npt.NDArray[np.float64], episode: Indices, width: int) -> tuple[FeatureStats, Sketch]:
    """Statistics of each episode that has a row, and the sketch of all rows; sums never cross episodes."""
    starts = np.flatnonzero(np.diff(episode, prepend=-1))
    if not len(starts):
        nothing = np.zeros((0, width))
        return dict.fromkeys(("min", "max", "mean", "std"), nothing) | {"count": np.zeros(0, np.int64)}, Sketch.of(
            nothing
        )
    counts = np.diff(np.append(starts, len(rows)))
    mean = np.add.reduceat(rows, starts, axis=0) / counts[:, None]
    spread = np.add.reduceat((rows - np.repeat(mean, counts, axis=0)) ** 2, starts, axis=0) / counts[:, None]
    stats = {
        "min": np.minimum.reduceat(rows, starts, axis=0),
        "max": np.maximum.reduceat(rows, starts, axis=0),
        "mean": mean,
        "std": np.sqrt(spread),
        "count": counts,
    }
    return stats, Sketch.of(rows)
