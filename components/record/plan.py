"""What to record, decided before anything is simulated: a pure function of the params."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np

from components.core.params import Raw
from components.sim.tasks import task

Format = Literal["mcap", "hdf5"]
FORMATS: tuple[Format, ...] = ("mcap", "hdf5")

# Demonstrations use scene seeds below this one; evaluation and rollouts use seeds from it on.
SCENE_SEEDS = 100_000
ATTEMPTS = 16

# A simulated calendar: the files must not depend on when they were made.
_FIRST_DAY = datetime(2026, 1, 5, 8, tzinfo=UTC)
_EPISODES_A_DAY = 320
_EPISODE_PITCH_S = 75

# One fault an episode, in this order. The names are the codes under which the checks and the readers report them.
# Where a fault looks different in the two formats, the first round uses the one it is known from.
FAULTS: tuple[tuple[str, Format], ...] = (
    ("nan", "mcap"),
    ("frozen_camera", "hdf5"),
    ("black_frames", "mcap"),
    ("idle", "hdf5"),
    ("clock_backwards", "mcap"),
    ("state_jump", "hdf5"),
    ("missing_language", "hdf5"),
    ("dropped_frames", "mcap"),
)
TRUNCATED = "truncated"


@dataclass(frozen=True)
class EpisodePlan:
    """One episode to record. `index` is unique within a recording and decides every random number of the episode."""

    index: int
    task: str
    instruction: str
    robot_id: str
    collector_id: str
    site: str
    fault: str = ""
    seed: int = 0

    @property
    def start(self) -> datetime:
        day, slot = divmod(self.index, _EPISODES_A_DAY)
        return _FIRST_DAY + timedelta(days=day, seconds=slot * _EPISODE_PITCH_S)

    def scene_seed(self, attempt: int) -> int:
        """Different for every episode and attempt of a recording of up to 6,250 episodes."""
        return (self.seed * 7919 + self.index * ATTEMPTS + attempt) % SCENE_SEEDS

    def rng(self, attempt: int, purpose: int = 0) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.index, attempt, purpose])


@dataclass(frozen=True)
class FilePlan:
    """One file to write, relative to data/raw: one episode in an MCAP file, one or more in an HDF5 file."""

    path: str
    format: Format
    episodes: tuple[EpisodePlan, ...] = field(default=())

    def planted(self) -> list[dict[str, str]]:
        """Source and code of each planted fault, the way the readers spell sources."""
        found = []
        for number, episode in enumerate(self.episodes):
            if episode.fault:
                suffix = f"#demo_{number}" if self.format == "hdf5" else ""
                found.append({"source": f"{self.path}{suffix}", "fault": episode.fault})
        return found


def plan_recording(raw: Raw) -> list[FilePlan]:
    """Every file of the default recording, sorted by path: half of each task's episodes as MCAP, half as HDF5."""
    chosen: list[tuple[Format, EpisodePlan]] = []
    for name in raw.tasks:
        for number in range(raw.episodes_per_task):
            chosen.append((FORMATS[number % 2], _episode(raw, len(chosen), name)))
    for number in range(raw.planted_faults):
        fault, format_ = FAULTS[number % len(FAULTS)]
        # Each further round plants the same faults in the other format.
        rounds = number // len(FAULTS)
        if rounds % 2:
            format_ = FORMATS[1 - FORMATS.index(format_)]
        chosen.append((format_, _episode(raw, len(chosen), raw.tasks[number % len(raw.tasks)], fault)))
    if raw.planted_faults:
        chosen.append(("mcap", _episode(raw, len(chosen), raw.tasks[-1], TRUNCATED)))
    return group_files(chosen)


def plan_episodes(raw: Raw, task_name: str, count: int, *, first: int = 0) -> list[EpisodePlan]:
    """`count` sound episodes of one task, numbered from `first`."""
    return [_episode(raw, first + number, task_name) for number in range(count)]


def group_files(chosen: list[tuple[Format, EpisodePlan]]) -> list[FilePlan]:
    """MCAP: `<site>/<task>-<index>.mcap`. HDF5: `<site>/<task>.hdf5` with the episodes of that site and task."""
    files: dict[tuple[str, Format], list[EpisodePlan]] = defaultdict(list)
    for format_, episode in chosen:
        stem = f"{episode.site}/{episode.task}"
        name = f"{stem}-{episode.index:04d}.mcap" if format_ == "mcap" else f"{stem}.hdf5"
        files[name, format_].append(episode)
    return [FilePlan(name, format_, tuple(episodes)) for (name, format_), episodes in sorted(files.items())]


def _episode(raw: Raw, index: int, task_name: str, fault: str = "") -> EpisodePlan:
    # Two episodes in a row, one of each format, run on one robot: so no robot and no site writes only one format.
    robot = (index // 2) % len(raw.robots)
    phrasing = int(np.random.default_rng([raw.seed, index]).integers(1 << 16))
    return EpisodePlan(
        index=index,
        task=task_name,
        instruction=task(task_name).phrasing(phrasing),
        robot_id=raw.robots[robot],
        collector_id=raw.collectors[index % len(raw.collectors)],
        site=raw.sites[robot % len(raw.sites)],
        fault=fault,
        seed=raw.seed,
    )
