"""Another way to say the same task, out of what people said in the same dataset."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.dataset.loading.episodes import EpisodeList

Ints = npt.NDArray[np.int64]


class Phrasings:
    """The instructions that the training episodes of each task have; a task without a name is told in one way only.

    `share`: of windows that get another phrasing of their task, each alike, where there is one.
    """

    def __init__(self, episodes: EpisodeList, share: float) -> None:
        self._share = share
        self._task = _tasks(episodes)
        ways: dict[int, set[int]] = defaultdict(set)
        for task, instruction in zip(self._task.tolist(), episodes.instruction.tolist(), strict=True):
            ways[task].add(instruction)
        self._ways = {task: np.array(sorted(known), np.int64) for task, known in ways.items()}

    def draw(self, instruction: Ints, episode: Ints, generator: np.random.Generator) -> Ints:
        """int64 [B] places of instructions, and rows of episodes -> int64 [B], some told in other words."""
        chosen, picks = generator.random(len(instruction)) < self._share, generator.random(len(instruction))
        told = instruction.copy()
        for row in np.flatnonzero(chosen):
            ways = self._ways[int(self._task[episode[row]])]
            others = ways[ways != instruction[row]]
            if len(others) and self._task[episode[row]] >= 0:
                told[row] = others[int(picks[row] * len(others))]
        return told


def _tasks(episodes: EpisodeList) -> Ints:
    """int64 [E]: a number a dataset and task; -1 where the task has no name."""
    known: dict[tuple[int, str], int] = {}
    numbers = []
    for source, part in enumerate(episodes.parts):
        column = part.dataset.table(["task"])["task"].combine_chunks().take(part.rows).cast(pa.string())
        for task in column.to_pylist():
            numbers.append(known.setdefault((source, task), len(known)) if task else -1)
    return np.array(numbers, np.int64)
