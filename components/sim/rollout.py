"""One closed-loop episode: what evaluation and the simulated robots both run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from components.core.errors import ContractError, UsageError
from components.core.spec import SAWYER_CELL
from components.sim.cell import Observation

# (observation, instruction) -> the next H actions, float [H, A].
Act = Callable[[Observation, str], npt.NDArray[np.floating]]


class Scene(Protocol):
    """What an episode needs of a cell."""

    @property
    def holding(self) -> bool: ...

    def reset(self, seed: int) -> None: ...

    def observe(self) -> Observation: ...

    def step(self, action: npt.ArrayLike) -> bool: ...


@dataclass(frozen=True)
class EpisodeOutcome:
    """`steps`: control steps taken (50 ms each); `replans`: how often the policy was asked."""

    success: bool
    steps: int
    replans: int


def run_episode(cell: Scene, act: Act, *, seed: int, instruction: str, execute: int, horizon: int) -> EpisodeOutcome:
    """Runs until success, or until `horizon` control steps have passed and the task's condition is not met.

    Success has to begin within the horizon; a condition that is met when it ends gets the time to be held. Of each
    chunk of actions the first `execute` are run open loop, then the policy sees a new observation. Errors of `act`
    pass through unchanged. Raises `ContractError` where a chunk is not [H >= 1, A].
    """
    if execute < 1 or horizon < 1:
        raise UsageError(f"execute and horizon must be at least 1, found {execute} and {horizon}")
    cell.reset(seed)
    steps = replans = 0
    while True:
        chunk = np.asarray(act(cell.observe(), instruction))
        replans += 1
        if chunk.ndim != 2 or chunk.shape[0] < 1 or chunk.shape[1] != SAWYER_CELL.action.dim:
            raise ContractError(f"a chunk of actions must be [H, {SAWYER_CELL.action.dim}], found {chunk.shape}")
        for action in chunk[:execute]:
            steps += 1
            if cell.step(action):
                return EpisodeOutcome(True, steps, replans)
            if steps >= horizon and not cell.holding:
                return EpisodeOutcome(False, steps, replans)
