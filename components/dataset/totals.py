"""What a dataset holds so far: counts, tasks, identities and running statistics. All a writer needs to go on from."""

from __future__ import annotations

from dataclasses import dataclass, field

from components.core.errors import DatasetError
from components.dataset.stats import FeatureStats, RunningStats


@dataclass
class Totals:
    """`files`: kind of file ("data", "episodes", or a video key) -> number of the next one to open.

    Memory grows by one digest an episode and one string a task; frames and statistics leave nothing behind.
    """

    episodes: int = 0
    frames: int = 0
    tasks: dict[str, int] = field(default_factory=dict)
    extras: dict[str, tuple[str, int]] | None = None
    fingerprints: dict[str, str] = field(default_factory=dict)
    stats: dict[str, RunningStats] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)

    def task_index(self, instruction: str) -> int:
        """Number of a task string, given in the order in which they first appear."""
        return self.tasks.setdefault(instruction, len(self.tasks))

    def require_new(self, episode_id: str) -> None:
        if episode_id in self.fingerprints:
            raise DatasetError(f"episode {episode_id[:12]} is in the dataset already", hint="Add every episode once")

    def count(self, episode_id: str, fingerprint: str, frames: int, stats: dict[str, FeatureStats]) -> None:
        """Takes in an episode that was written."""
        self.episodes += 1
        self.frames += frames
        self.fingerprints[episode_id] = fingerprint
        for key, values in stats.items():
            self.stats.setdefault(key, RunningStats()).add(values)
