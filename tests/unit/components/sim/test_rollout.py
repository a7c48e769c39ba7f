from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from components.core.errors import ContractError, UsageError
from components.sim.cell import Cell, Observation
from components.sim.expert import Expert
from components.sim.hold import Hold
from components.sim.rollout import run_episode
from components.sim.tasks import TASKS, task

pytestmark = pytest.mark.sim


def _still(observation: Observation, instruction: str) -> np.ndarray:
    return np.zeros((8, 4))


@pytest.mark.parametrize("name", sorted(TASKS))
def test_the_scripted_expert_finishes_every_task(name: str) -> None:
    with Cell(name) as cell:
        expert = Expert(task(name))
        told = []

        def act(observation: Observation, instruction: str) -> np.ndarray:
            told.append(instruction)
            return expert.act(cell)[None]

        for seed in (11, 12):
            outcome = run_episode(cell, act, seed=seed, instruction="do it", execute=1, horizon=60)
            assert outcome.success
            assert outcome.replans == outcome.steps <= 70
        assert set(told) == {"do it"}


def test_a_policy_is_asked_again_after_the_executed_part_of_its_chunk(drawer: Cell) -> None:
    outcome = run_episode(drawer, _still, seed=1, instruction="", execute=4, horizon=10)
    assert (outcome.success, outcome.steps, outcome.replans) == (False, 10, 3)


class Blinking:
    """A cell whose condition is met as `met` says, one entry a step, and held after three steps."""

    def __init__(self, met: str) -> None:
        self._met, self._hold = iter(met), Hold(3)

    @property
    def holding(self) -> bool:
        return self._hold.holding

    def reset(self, seed: int) -> None:
        self._hold.reset()

    def observe(self) -> Observation:
        return Observation({}, np.zeros(4, np.float32))

    def step(self, action: npt.ArrayLike) -> bool:
        self._hold.update(next(self._met) == "y")
        return self._hold.done


@pytest.mark.parametrize(
    ("met", "success", "steps"),
    [
        ("nnyyy", True, 5),  # begun and held within the horizon
        ("nnnnnyyy", True, 8),  # begun with its last step, and held
        ("nnnnnyyn", False, 8),  # begun with its last step, and lost
        ("nnnnnny", False, 6),  # begun too late
        ("yynyyn", False, 6),  # never held
        ("nynyyyn", True, 6),  # lost and found again
    ],
)
def test_success_has_to_begin_within_the_horizon_and_to_last(met: str, success: bool, steps: int) -> None:
    outcome = run_episode(Blinking(met), _still, seed=1, instruction="", execute=4, horizon=6)
    assert (outcome.success, outcome.steps) == (success, steps)


def test_a_chunk_shorter_than_execute_is_run_whole(drawer: Cell) -> None:
    outcome = run_episode(drawer, lambda *_: np.zeros((2, 4)), seed=1, instruction="", execute=4, horizon=10)
    assert (outcome.steps, outcome.replans) == (10, 5)


def test_the_policy_sees_the_state_it_is_asked_for(drawer: Cell) -> None:
    seen: list[np.ndarray] = []

    def act(observation: Observation, instruction: str) -> np.ndarray:
        seen.append(observation.state)
        return np.tile([0.0, 0.0, 1.0, 0.0], (4, 1))

    run_episode(drawer, act, seed=1, instruction="", execute=4, horizon=12)
    heights = [state[2] for state in seen]
    assert heights == sorted(heights)
    assert heights[-1] > heights[0] + 0.05


@pytest.mark.parametrize("chunk", [np.zeros(4), np.zeros((0, 4)), np.zeros((8, 3))])
def test_a_chunk_of_the_wrong_shape_is_refused(drawer: Cell, chunk: np.ndarray) -> None:
    with pytest.raises(ContractError, match=r"a chunk of actions must be \[H, 4\]"):
        run_episode(drawer, lambda *_: chunk, seed=1, instruction="", execute=4, horizon=10)


def test_errors_of_the_policy_pass_through(drawer: Cell) -> None:
    def act(observation: Observation, instruction: str) -> np.ndarray:
        raise TimeoutError("the server is gone")

    with pytest.raises(TimeoutError, match="the server is gone"):
        run_episode(drawer, act, seed=1, instruction="", execute=4, horizon=10)


@pytest.mark.parametrize(("execute", "horizon"), [(0, 10), (4, 0)])
def test_counts_below_one_are_refused(drawer: Cell, execute: int, horizon: int) -> None:
    with pytest.raises(UsageError, match="must be at least 1"):
        run_episode(drawer, _still, seed=1, instruction="", execute=execute, horizon=horizon)
