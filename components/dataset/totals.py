"""What a dataset holds so far: counts, tasks, identities and running statistics. All a writer needs to go on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from components.core.errors import DatasetError
from components.dataset.layout import OWN_TOTALS
from components.dataset.sketch import Sketch
from components.dataset.stats import FeatureStats, RunningStats


@dataclass
class Totals:
    """`files`: template of a kind of file -> number of the next one to open, which no file ever had, also none that is
    gone; `known`: files.json of the last commit.

    `episodes`, `frames`: how many there are; `next_episode`, `next_frame`: the numbers that the next ones get, which
    count deleted ones too. `own_episodes`: meta/gripline/episodes.parquet as of the last commit, None before the first.
    Frames leave nothing behind.
    """

    episodes: int = 0
    frames: int = 0
    next_episode: int = 0
    next_frame: int = 0
    tasks: dict[str, int] = field(default_factory=dict)
    extras: dict[str, tuple[str, int]] | None = None
    ids: set[str] = field(default_factory=set)
    stats: dict[str, RunningStats] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)
    own_episodes: pa.Table | None = None

    def task_index(self, instruction: str) -> int:
        """Number of a task string, given in the order in which they first appear."""
        return self.tasks.setdefault(instruction, len(self.tasks))

    def require_new(self, episode_id: str) -> None:
        if episode_id in self.ids:
            raise DatasetError(f"episode {episode_id[:12]} is in the dataset already", hint="Add every episode once")

    def count(
        self, episode_id: str, frames: int, stats: Mapping[str, FeatureStats], sketches: Mapping[str, Sketch]
    ) -> None:
        """Takes in an episode that was written."""
        self.episodes += 1
        self.frames += frames
        self.next_episode += 1
        self.next_frame += frames
        self.ids.add(episode_id)
        for key, values in stats.items():
            self.stats.setdefault(key, RunningStats()).add(values, sketches[key])

    def as_dict(self) -> dict[str, Any]:
        """totals.json: the statistics, with nothing rounded: a later writer need not read those of all episodes."""
        counters = {"next_episode_index": self.next_episode, "next_frame_index": self.next_frame}
        stats = {key: running.as_dict() for key, running in self.stats.items()}
        return {**counters, "next_files": self.files, "stats": stats}


def next_files_of(value: dict[str, Any]) -> dict[str, int]:
    """Template of a kind of file -> the number from which on nobody had one, in totals.json; for those it names.

    Raises `DatasetError` where they are no such numbers.
    """
    files = value.get("next_files", {})
    if not isinstance(files, dict) or not all(isinstance(n, int) and n >= 0 for n in files.values()):
        raise DatasetError(f"next_files of {OWN_TOTALS} is {files!r}, expected a number for each kind of file")
    return files


def stats_of_totals(value: dict[str, Any]) -> dict[str, RunningStats]:
    """The statistics in totals.json."""
    return {key: RunningStats.from_dict(part) for key, part in value["stats"].items()}
