"""Which policies a run of the stage trains."""

from __future__ import annotations

from dataclasses import dataclass

from components.core.params import Train

BLIND = "blind"
WORDLESS = "wordless"
UNTRAINED = "untrained"


@dataclass(frozen=True)
class Job:
    """One policy to train. `seed` decides weights, order and augmentation; 0 `steps` leaves the weights as drawn."""

    name: str
    seed: int
    steps: int
    blind: bool = False
    wordless: bool = False


def plan_jobs(params: Train) -> list[Job]:
    """One job a seed and the controls, the longest first so that no process is left alone with one at the end.

    A control of 0 steps is left out, other than the untrained one. An external trainer takes the place of the
    seeds; the controls are still ours, they speak of the data, and without a blind one there are none.
    """
    if params.external is not None and not params.blind_steps:
        return []
    first = params.seeds[0]
    seeds = params.seeds if params.external is None else ()
    jobs = [Job(f"seed-{seed}", seed, params.steps) for seed in seeds]
    if params.wordless_steps:
        jobs.append(Job(WORDLESS, first, params.wordless_steps, wordless=True))
    if params.blind_steps:
        jobs.append(Job(BLIND, first, params.blind_steps, blind=True))
    return [*jobs, Job(UNTRAINED, first, 0)]


def validations_of(steps: int, every: int) -> int:
    """How often a job of so many steps is validated: after each `every` of them, and at its end."""
    return steps // every + (steps == 0 or steps % every != 0)
