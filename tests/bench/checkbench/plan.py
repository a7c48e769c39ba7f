"""Which episodes get a fault, and among which others they are judged: decided by the seed before anything is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np

# Faulty episodes in a table of 300, at most: 5 %.
BATCH = 15
# Shares of a task's episodes, by strength.
MISMATCHED = (0.2, 0.05, 0.01)
PHRASED = (0.8, 0.95, 1.0)
# A trial of a whole task is judged within this share of the clean episodes.
WITHIN = 0.8
# Faults whose original stays where it is.
COPIES = ("duplicate_episode", "split_leak")


@dataclass(frozen=True)
class Facts:
    """What the clean dataset says about an episode."""

    task: str
    robot_id: str
    recorded_at: str
    instruction: str
    split: str


@dataclass(frozen=True)
class Change:
    """A fault in the clean episode `source`; `others`: clean episodes given to it; `draw`: what seeds its draws."""

    source: int
    others: tuple[int, ...]
    draw: int


@dataclass(frozen=True)
class Trial:
    """The clean episodes `rows` in one table with the changed ones; `task`: what is to be flagged, where it is one."""

    changes: tuple[Change, ...]
    rows: tuple[int, ...]
    task: str = ""


def trials(code: str, strength: int, facts: Sequence[Facts], episodes: int, seed: int) -> list[Trial]:
    """At least `episodes` changes where there are as many clean ones; the same for all strengths where one can."""
    rng = np.random.default_rng([seed, crc32(code.encode())])
    if code == "instruction_mismatch_rate":
        return [_one_phrasing(PHRASED[strength], facts, rng) for _ in range(max(1, episodes // 10))]
    if code == "instruction_mismatch":
        batches = _by_task(MISMATCHED[strength], facts, episodes, rng)
    elif code == "calibration_drift":
        batches = _last_of_a_robot(facts, episodes, rng)
    else:
        chosen = rng.permutation(len(facts))[:episodes].tolist()
        batches = [_changes(chosen[first : first + BATCH], facts, rng) for first in range(0, len(chosen), BATCH)]
    return [Trial(tuple(batch), _rest(batch, facts, originals_stay=code in COPIES)) for batch in batches]


def _changes(sources: Sequence[int], facts: Sequence[Facts], rng: np.random.Generator) -> list[Change]:
    return [Change(source, _others(source, facts, rng), int(rng.integers(1 << 31))) for source in sources]


def _others(source: int, facts: Sequence[Facts], rng: np.random.Generator) -> tuple[int, ...]:
    """One episode of every other task."""
    tasks = sorted({fact.task for fact in facts} - {facts[source].task})
    return tuple(int(rng.choice(_of_task(task, facts))) for task in tasks)


def _of_task(task: str, facts: Sequence[Facts]) -> list[int]:
    return [number for number, fact in enumerate(facts) if fact.task == task]


def _by_task(share: float, facts: Sequence[Facts], episodes: int, rng: np.random.Generator) -> list[list[Change]]:
    """Batches with that share of one task's episodes, or of as many tasks' as go into a batch."""
    tasks, batches, count = sorted({fact.task for fact in facts}), [], 0
    while count < episodes:
        batch: list[Change] = []
        for task in rng.permutation(tasks).tolist():
            among = _of_task(task, facts)
            hit = max(1, round(share * len(among)))
            if batch and len(batch) + hit > BATCH:
                break
            batch += _changes(rng.choice(among, hit, replace=False).tolist(), facts, rng)
        batches.append(batch)
        count += len(batch)
    return batches


def _last_of_a_robot(facts: Sequence[Facts], episodes: int, rng: np.random.Generator) -> list[list[Change]]:
    """Batches of the last episodes of a robot, all with one draw: from a day on something is off by the same."""
    robots, batches = sorted({fact.robot_id for fact in facts}), []
    for number in range(-(-episodes // BATCH)):
        own = [index for index, fact in enumerate(facts) if fact.robot_id == robots[number % len(robots)]]
        last = sorted(own, key=lambda index: facts[index].recorded_at)[-BATCH:]
        draw = int(rng.integers(1 << 31))
        batches.append([Change(source, (), draw) for source in last])
    return batches


def _one_phrasing(share: float, facts: Sequence[Facts], rng: np.random.Generator) -> Trial:
    """In some of the clean episodes one task has one phrasing, up to a share of its episodes."""
    within = sorted(rng.choice(len(facts), round(WITHIN * len(facts)), replace=False).tolist())
    task = str(rng.choice(sorted({facts[number].task for number in within})))
    own = [number for number in within if facts[number].task == task]
    model = int(rng.choice(own))
    different = [number for number in own if facts[number].instruction != facts[model].instruction]
    left = round((1 - share) * len(own))
    hit = rng.permutation(different)[: max(0, len(different) - left)].tolist()
    changes = tuple(Change(source, (model,), 0) for source in sorted(hit))
    return Trial(changes, tuple(number for number in within if number not in set(hit)), task)


def _rest(batch: Sequence[Change], facts: Sequence[Facts], *, originals_stay: bool) -> tuple[int, ...]:
    hit = set() if originals_stay else {change.source for change in batch}
    return tuple(number for number in range(len(facts)) if number not in hit)
