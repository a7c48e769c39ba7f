"""Rollouts of bundles in simulated cells, spread over processes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.bundle.bundle import Bundle, load_bundle
from components.core.params import Evaluate, workers
from components.core.spec import SAWYER_CELL
from components.core.spread import spread
from components.sim.cell import Cell, Observation
from components.sim.rollout import EpisodeOutcome, Scene, run_episode
from components.sim.swapped import SwappedCell
from components.sim.tasks import task as task_named

# Rollouts that a process takes at a time: few enough to share the load, many enough to keep a cell busy.
_BATCH = 5


@dataclass(frozen=True)
class Plan:
    """`count` rollouts of the bundle in `folder` on one task, with the seeds first_seed, first_seed + 1, ...

    `asked`: another task of the scene, for rollouts that are told that one; empty where `task` is asked for.
    """

    policy: str
    folder: Path
    task: str
    count: int
    asked: str = ""


@dataclass(frozen=True, order=True)
class Rollout:
    """One closed-loop episode; `steps`: control steps taken, `replans`: how often the policy was asked.

    `task` is what stands in the cell, `asked` what the instruction is about, mostly the same; `success`: whether the
    asked task was done, `did_scene`: whether that of the cell was.
    """

    policy: str
    task: str
    asked: str
    seed: int
    instruction: str
    success: bool
    did_scene: bool
    steps: int
    replans: int

    @property
    def swapped(self) -> bool:
        return self.asked != self.task


def run_plans(plans: Sequence[Plan], params: Evaluate) -> list[Rollout]:
    """All rollouts, sorted by policy, task and seed. They depend on the bundles, the seeds and `params` alone."""
    from tqdm import tqdm

    parts = [part for plan in plans for part in _parts(plan, params.seed)]
    total = sum(len(seeds) for _, seeds in parts)
    done: list[Rollout] = []
    with tqdm(total=total, unit="rollout", desc="evaluate", disable=None) as progress:
        processes = min(workers(), len(parts))
        for rollouts in spread(partial(_run, params), parts, Bench, processes=processes, name="an evaluation process"):
            done.extend(rollouts)
            progress.update(len(rollouts))
    return sorted(done)


def _parts(plan: Plan, first_seed: int) -> Iterator[tuple[Plan, tuple[int, ...]]]:
    seeds = range(first_seed, first_seed + plan.count)
    for start in range(0, plan.count, _BATCH):
        yield plan, tuple(seeds[start : start + _BATCH])


class Bench:
    """Cells and bundles that stay open between rollouts."""

    def __init__(self) -> None:
        self._cells: dict[str, Cell] = {}
        self._swapped: dict[tuple[str, str], SwappedCell] = {}
        self._bundles: dict[Path, Bundle] = {}

    def run(self, plan: Plan, seeds: Sequence[int], params: Evaluate) -> list[Rollout]:
        cell, bundle = self._cell(plan.task, params.hold_s), self._bundle(plan.folder)
        if not plan.asked:
            return [_rollout(cell, bundle, plan, seed, params) for seed in seeds]
        swapped = self._swapped_cell(cell, plan.asked)
        return [_swapped_rollout(swapped, bundle, plan, seed, params) for seed in seeds]

    def close(self) -> None:
        for cell in self._cells.values():
            cell.close()
        self._cells, self._swapped = {}, {}

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _cell(self, task: str, hold_s: float) -> Cell:
        if task not in self._cells:
            self._cells[task] = Cell(task, hold_s=hold_s)
        return self._cells[task]

    def _swapped_cell(self, cell: Cell, asked: str) -> SwappedCell:
        key = (cell.task.name, asked)
        if key not in self._swapped:
            self._swapped[key] = SwappedCell(cell, task_named(asked))
        return self._swapped[key]

    def _bundle(self, folder: Path) -> Bundle:
        if folder not in self._bundles:
            self._bundles[folder] = load_bundle(folder, threads=1, expect=SAWYER_CELL)
        return self._bundles[folder]


def _rollout(cell: Cell, bundle: Bundle, plan: Plan, seed: int, params: Evaluate) -> Rollout:
    instruction = task_named(plan.task).phrasing(seed - params.seed)
    outcome = _episode(cell, bundle, seed, instruction, params)
    won = outcome.success
    return Rollout(plan.policy, plan.task, plan.task, seed, instruction, won, won, outcome.steps, outcome.replans)


def _swapped_rollout(cell: SwappedCell, bundle: Bundle, plan: Plan, seed: int, params: Evaluate) -> Rollout:
    instruction = task_named(plan.asked).phrasing(seed - params.seed)
    outcome = _episode(cell, bundle, seed, instruction, params)
    did = cell.did_asked, cell.did_scene
    return Rollout(plan.policy, plan.task, plan.asked, seed, instruction, *did, outcome.steps, outcome.replans)


def _episode(cell: Scene, bundle: Bundle, seed: int, instruction: str, params: Evaluate) -> EpisodeOutcome:
    def act(observation: Observation, instruction: str) -> npt.NDArray[np.float32]:
        images = {camera: image[np.newaxis] for camera, image in observation.images.items()}
        return bundle.act(images, observation.state[np.newaxis], [instruction])[0]

    return run_episode(cell, act, seed=seed, instruction=instruction, execute=params.execute, horizon=params.horizon)


def _run(params: Evaluate, bench: Bench, part: tuple[Plan, tuple[int, ...]]) -> list[Rollout]:
    plan, seeds = part
    return bench.run(plan, seeds, params)


def by_policy_and_task(rollouts: Sequence[Rollout]) -> dict[str, dict[str, list[Rollout]]]:
    """policy -> task -> its rollouts by seed."""
    grouped: dict[str, dict[str, list[Rollout]]] = {}
    for (policy, task), group in itertools.groupby(sorted(rollouts), key=lambda one: (one.policy, one.task)):
        grouped.setdefault(policy, {})[task] = list(group)
    return grouped
