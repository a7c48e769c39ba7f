"""The two sides of the split: which episodes are on each, and where their frames come from."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from components.core.params import Train, workers
from components.dataset.loading.choose import Choice, choose
from components.dataset.loading.episodes import part_frames
from components.dataset.loading.loader import Loader
from components.dataset.loading.settings import LoaderSettings
from components.dataset.parts import Part

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Side:
    """Some episodes, and where their frames come from: the same batches from each place.

    `weights`: of each part in a mixture; None: every window once an epoch.
    """

    parts: tuple[Part, ...]
    choice: Choice
    weights: tuple[float, ...] | None = None

    def loader(self, params: Train, *, seed: int = 0, shuffle: bool = True, lane: int | None = None) -> Loader:
        """Windows of one observation and `params.chunk` actions; to be closed.

        `lane`: one of `params.loader.lanes` rows that share the windows of an epoch; none: a single row of them all.
        One thread reads ahead: jobs run side by side, and one a core is enough.
        """
        settings = LoaderSettings(
            params.chunk, run_frames=params.loader.run_frames, pool_windows=params.loader.pool_windows, threads=1
        )
        rank, world = (0, 1) if lane is None else (lane, params.loader.lanes)
        row: dict[str, Any] = {"seed": seed, "rank": rank, "world": world, "shuffle": shuffle}
        return Loader(self.parts, settings, choice=self.choice, weights=self.weights, **row)

    @property
    def windows(self) -> int:
        return windows_of(self.parts)

    @property
    def instructions(self) -> list[str]:
        """Distinct ones, sorted."""
        return sorted(set(self.table(["instruction"])["instruction"]))

    def table(self, columns: Sequence[str]) -> pd.DataFrame:
        """Rows of the table of episodes, in the order of a loader."""
        tables = [part.dataset.table(columns).take(part.rows).to_pandas() for part in self.parts]
        return pd.concat(tables, ignore_index=True)


def make_sides(wanted: Sequence[tuple[tuple[Part, ...], float]], cache: Path, *, limit_bytes: int) -> list[Side]:
    """Sides out of (parts, epochs) under one bound, the most important first.

    Each holds its entries of the cache, so that a later one gets only what is left.
    """
    return [make_side(parts, cache, limit_bytes=limit_bytes, epochs=epochs) for parts, epochs in wanted]


def make_side(parts: tuple[Part, ...], cache: Path, *, limit_bytes: int, epochs: float) -> Side:
    """`epochs`: passes that all jobs together will make. Where a cache pays it is built here, once: jobs share it.

    Its entries stay while the side does, also for processes that are forked meanwhile.
    """
    choice = choose(parts, cache, limit_bytes=limit_bytes, epochs=epochs)
    log.info("%d windows of %d episodes: %s", windows_of(parts), sum(map(len, parts)), choice.reason)
    return Side(parts, choice.build(parts, workers(), progress=sys.stderr.isatty()))


def windows_of(parts: Sequence[Part]) -> int:
    """One window a frame."""
    return sum(map(part_frames, parts))
