from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from components.core.errors import ContractError
from components.core.spec import SAWYER_CELL
from components.policy.foreign.numbers import ACTION, STATE, Scaling, folded, scaling

FINE = st.floats(-5, 5)
STATS = {
    STATE: {"mean": np.array([1.0, 2.0]), "std": np.array([0.5, 4.0])},
    ACTION: {"min": np.array([-2.0, 0.0]), "max": np.array([2.0, 1.0]), "q01": np.zeros(2), "q99": np.ones(2)},
}


def test_forms() -> None:
    by_mean = scaling(STATS, STATE, "mean_std", 2)
    assert (by_mean.scale.tolist(), by_mean.shift.tolist()) == ([0.5, 4.0], [1.0, 2.0])
    by_range = scaling(STATS, ACTION, "min_max", 2)
    assert (by_range.scale.tolist(), by_range.shift.tolist()) == ([2.0, 0.5], [0.0, 0.5])
    assert scaling(STATS, ACTION, "q01_q99", 2).scale.tolist() == [0.5, 0.5]
    assert scaling({}, ACTION, "identity", 2).scale.tolist() == [1.0, 1.0]


def test_padding_is_cut_and_other_widths_refused() -> None:
    wide = {STATE: {"mean": np.array([1.0, 0.0]), "std": np.array([2.0, 0.0])}}
    assert scaling(wide, STATE, "mean_std", 1).scale.tolist() == [2.0]
    for width in (1, 3):
        with pytest.raises(ContractError, match=f"statistics of 2 dimensions of {STATE}, the embodiment has {width}"):
            scaling(STATS, STATE, "mean_std", width)
    with pytest.raises(ContractError, match=f"no min and max of {STATE}"):
        scaling(STATS, STATE, "min_max", 2)


def test_a_state_that_never_moved_does_not_explode() -> None:
    state = Scaling(np.array([0.0, 1e-5]), np.array([3.0, 0.0])).state()
    assert state.epsilon == 1e-5
    assert state.apply(np.array([3.0, 1e-5])).tolist() == [0.0, 1.0]
    assert Scaling(np.array([2.0]), np.array([0.0])).state().epsilon == 1e-3


def test_actions_that_never_moved_keep_their_limits() -> None:
    bounds = Scaling(np.array([0.5, 0.0, 0.5, 0.5]), np.array([0.25, 0.0, 0.0, 0.0])).bounds(SAWYER_CELL)
    assert (bounds.low[:2], bounds.high[:2]) == ((-0.25, -1.0), (0.75, 1.0))


@given(st.lists(st.tuples(st.floats(0.1, 4), FINE), min_size=4, max_size=4), st.integers(0, 100))
def test_folded_layers_answer_and_read_the_same_physical_actions(of: list[tuple[float, float]], seed: int) -> None:
    torch.manual_seed(seed)
    theirs = Scaling(*(np.array(values) for values in zip(*of, strict=True)))
    writer, reader = nn.Linear(3, 4).double(), nn.Linear(4, 3).double()
    names = {f"out.{name}": one for name, one in writer.state_dict().items()}
    names |= {f"in.{name}": one for name, one in reader.state_dict().items()}
    made = folded(names, ("out",), ("in",), theirs, SAWYER_CELL)
    features, low, high = (
        torch.randn(5, 3).double(),
        np.array(SAWYER_CELL.action.low),
        np.array(SAWYER_CELL.action.high),
    )
    with torch.no_grad():
        physical = writer(features).numpy() * theirs.scale + theirs.shift
        ours = features @ made["out.weight"].T + made["out.bias"]
        np.testing.assert_allclose((ours.numpy() + 1) / 2 * (high - low) + low, physical, atol=1e-9)
        read = reader(torch.from_numpy((physical - theirs.shift) / theirs.scale))
        np.testing.assert_allclose(ours @ made["in.weight"].T + made["in.bias"], read, atol=1e-9)


def test_an_action_that_never_moved_is_not_read() -> None:
    theirs = Scaling(np.array([0.0, 1.0, 1.0, 1.0]), np.zeros(4))
    made = folded({"in.weight": torch.ones(2, 4), "in.bias": torch.zeros(2)}, (), ("in",), theirs, SAWYER_CELL)
    assert made["in.weight"][:, 0].tolist() == [0.0, 0.0]
