from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import UsageError
from components.sim.hold import Hold, hold_steps


@pytest.mark.parametrize(("seconds", "steps"), [(0.0, 1), (0.02, 1), (0.25, 5), (0.5, 10), (1.0, 20)])
def test_seconds_are_control_steps_of_the_cell(seconds: float, steps: int) -> None:
    assert hold_steps(seconds) == steps


def test_a_time_below_zero_is_refused() -> None:
    with pytest.raises(UsageError, match=r"a success cannot be held for -0\.1 s"):
        hold_steps(-0.1)


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 12))
def test_a_condition_is_held_as_long_as_its_present_run(met: list[bool], steps: int) -> None:
    hold = Hold(steps)
    for number, now in enumerate(met):
        hold.update(now)
        run = len(list(itertools.takewhile(bool, reversed(met[: number + 1]))))
        assert (hold.holding, hold.done) == (run > 0, run >= steps)
    hold.reset()
    assert not hold.holding
