from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from components.core.errors import UsageError
from components.sim.cell import Cell
from components.sim.expert import Expert
from components.sim.swapped import SwappedCell
from components.sim.tasks import TASKS, swaps

pytestmark = pytest.mark.sim
OPEN, CLOSE = TASKS["faucet-open"], TASKS["faucet-close"]


@pytest.fixture(scope="module")
def faucet() -> Iterator[Cell]:
    with Cell(OPEN) as cell:
        yield cell


def test_only_tasks_of_one_scene_are_swapped() -> None:
    assert swaps(TASKS) == [("faucet-open", "faucet-close"), ("faucet-close", "faucet-open")]
    assert swaps(["drawer-open", "faucet-open"]) == []


def test_the_judge_agrees_with_the_scene_about_the_task_of_the_scene(faucet: Cell) -> None:
    same, expert = SwappedCell(faucet, OPEN), Expert(OPEN)
    for seed in (3, 4):
        same.reset(seed)
        met = []
        for _ in range(40):
            same.step(expert.act(faucet))
            met.append(faucet.holding)
            assert same._asked.holding == faucet.holding
        assert any(met)
        assert not all(met)


def test_whoever_does_what_was_asked_has_not_done_what_the_scene_is_for(faucet: Cell) -> None:
    swapped, closer = SwappedCell(faucet, CLOSE), Expert(CLOSE)
    swapped.reset(5)
    for _ in range(80):
        if swapped.step(closer.act(Told(swapped))):  # type: ignore[arg-type]
            break
    assert (swapped.did_asked, swapped.did_scene) == (True, False)


def test_whoever_does_what_the_scene_is_for_has_not_done_what_was_asked(faucet: Cell) -> None:
    swapped, opener = SwappedCell(faucet, CLOSE), Expert(OPEN)
    swapped.reset(5)
    for _ in range(80):
        action = np.zeros(4) if faucet.holding else opener.act(faucet)
        if swapped.step(action):
            break
    assert (swapped.did_asked, swapped.did_scene) == (False, True)


def test_a_reset_forgets_both_and_moves_the_judge_along(faucet: Cell) -> None:
    swapped = SwappedCell(faucet, CLOSE)
    for seed in (5, 6):
        swapped.reset(seed)
        assert (swapped.did_asked, swapped.did_scene, swapped.holding) == (False, False, False)
        shown = faucet.environment.model.body("faucetBase").pos
        assert np.array_equal(swapped._judge.model.body("faucetBase").pos, shown)


def test_tasks_of_two_scenes_cannot_be_swapped(faucet: Cell) -> None:
    with pytest.raises(UsageError, match="drawer-open cannot be judged in the scene of faucet-open"):
        SwappedCell(faucet, TASKS["drawer-open"])


class Told:
    """What the asked task's own expert would see."""

    def __init__(self, swapped: SwappedCell) -> None:
        self._swapped = swapped

    def full_state(self) -> np.ndarray:
        self._swapped._met(np.zeros(4, np.float32))
        return np.asarray(self._swapped._judge._get_obs())
