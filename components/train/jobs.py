"""Which policies a run of the stage trains."""

from __future__ import annotations

from dataclasses import dataclass

from components.core.params import Train

# Steps between validations.
VALIDATE_EVERY = 250

BLIND = "blind"
UNTRAINED = "untrained"


@dataclass(frozen=True)
class Job:
    """One policy to train. `seed` decides weights, order and augmentation; 0 `steps` leaves the weights as drawn."""

    name: str
    seed: int
    steps: int
    blind: bool = False


def plan_jobs(params: Train) -> list[Job]:
    """One job a seed and the two controls, the longest first so that no process is left alone with one at the end."""
    seeing = [Job(f"seed-{seed}", seed, params.steps) for seed in params.seeds]
    controls = [Job(BLIND, params.seeds[0], params.blind_steps, blind=True), Job(UNTRAINED, params.seeds[0], 0)]
    return [*seeing, *controls]


def validations_of(steps: int) -> int:
    """How often a job of so many steps is validated: on the way, and at its end."""
    return steps // VALIDATE_EVERY + (steps == 0 or steps % VALIDATE_EVERY != 0)
