from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from components.core.errors import ContractError
from components.core.files import read_json, write_json
from components.core.spec import SAWYER_CELL
from components.transforms.chain import PolicyTransforms, fit_tokens
from components.transforms.quantiles import Quantiles
from components.transforms.steps import Bounds

numbers = st.floats(-1e3, 1e3)
STATE = Quantiles((-0.1, 0.4, 0.0, 0.2), (0.3, 0.8, 0.0, 1.0))
ACTIONS = Bounds((-0.5, -0.25, -1.0, -1.0), (0.5, 0.75, 1.0, 1.0))
CHAIN = PolicyTransforms(SAWYER_CELL, STATE, fit_tokens(["open the drawer"]), ACTIONS)


@given(data=st.data(), dims=st.integers(1, 5))
def test_quantiles_and_back(data: st.DataObject, dims: int):
    """What lies between comes back within 1e-6 of the range, what lies beyond lands on the end that it is past."""
    low = data.draw(hnp.arrays(np.float64, dims, elements=numbers))
    width = data.draw(hnp.arrays(np.float64, dims, elements=st.floats(2e-3, 1e3)))
    step = Quantiles(tuple(low), tuple(low + width))
    share = data.draw(hnp.arrays(np.float64, dims, elements=st.floats(0, 1)))
    values = low + share * width
    np.testing.assert_allclose(step.inverse(step.apply(values)), values, atol=1e-6 * (np.abs(low) + width).max())
    beyond = data.draw(hnp.arrays(np.float64, dims, elements=st.floats(1e-3, 1e3)))
    np.testing.assert_array_equal(step.apply(low - beyond * width), -1.0)
    np.testing.assert_array_equal(step.apply(low + width + beyond * width), 1.0)


def test_a_dimension_that_never_moved_does_not_explode():
    np.testing.assert_allclose(STATE.apply(np.array([0.1, 0.6, 0.0005, 0.6])), [0.0, 0.0, 0.5, 0.0], atol=1e-6)


@given(data=st.data(), dims=st.integers(1, 5))
def test_openvla_scales_the_same(data: st.DataObject, dims: int):
    """Its formulas, with the 1e-8 that it adds to the range."""
    q01 = data.draw(hnp.arrays(np.float64, dims, elements=st.floats(-2, 2)))
    q99 = q01 + data.draw(hnp.arrays(np.float64, dims, elements=st.floats(1e-2, 4)))
    actions = data.draw(hnp.arrays(np.float64, (3, dims), elements=st.floats(-8, 8)))
    step, limits = Quantiles(tuple(q01), tuple(q99)), Bounds(tuple(q01), tuple(q99))
    published = np.clip(2 * (actions - q01) / (q99 - q01 + 1e-8) - 1, -1, 1)
    np.testing.assert_allclose(step.apply(actions), published, atol=5e-6)
    np.testing.assert_allclose(np.clip(limits.apply(actions), -1, 1), published, atol=5e-6)
    back = 0.5 * (published + 1) * (q99 - q01) + q01
    np.testing.assert_allclose(step.inverse(published), back, atol=1e-5)
    np.testing.assert_allclose(limits.inverse(published), back, atol=1e-5)


@pytest.mark.parametrize(
    ("low", "high", "match"),
    [
        ((0.0,), (1.0, 2.0), "q01 has 1 dimensions and q99 has 2"),
        ((2.0,), (1.0,), "q01 not above q99"),
        ((np.nan,), (1.0,), "must be finite"),
    ],
)
def test_quantiles_refuse_what_makes_no_sense(low, high, match):
    with pytest.raises(ContractError, match=match):
        Quantiles(low, high)


@given(actions=hnp.arrays(np.float32, (3, 4), elements=st.floats(-2, 2, width=32)))
def test_targets_are_cut_and_come_back_within_quantiles_and_limits(actions: np.ndarray):
    targets = CHAIN.normalise_actions(actions)
    assert np.abs(targets).max() <= 1.0
    found = CHAIN.outputs(targets[None])[0]
    np.testing.assert_allclose(found, np.clip(actions, ACTIONS.low, ACTIONS.high), atol=1e-6)


@given(actions=hnp.arrays(np.float32, (1, 2, 4), elements=st.floats(-(2.0**99), 2.0**99, width=32)))
def test_no_output_leaves_the_limits_of_the_robot(actions: np.ndarray):
    wide = replace(CHAIN, actions=Bounds((-9.0,) * 4, (9.0,) * 4))
    found = wide.outputs(actions)
    assert (found >= SAWYER_CELL.action.low).all()
    assert (found <= SAWYER_CELL.action.high).all()


def test_quantiles_travel_with_the_chain_and_older_readers_are_told(tmp_path: Path):
    CHAIN.save(tmp_path)
    assert PolicyTransforms.load(tmp_path) == CHAIN
    assert read_json(tmp_path / "transforms.json")["version"] == 2
    only_actions = PolicyTransforms.fit(SAWYER_CELL, [0.0] * 4, [1.0] * 4, ["open"])
    only_actions = replace(only_actions, actions=ACTIONS)
    only_actions.save(tmp_path)
    assert PolicyTransforms.load(tmp_path) == only_actions


def test_files_without_a_word_about_it_load_as_before(tmp_path: Path):
    plain = PolicyTransforms.fit(SAWYER_CELL, [0.0] * 4, [1.0] * 4, ["open"])
    plain.save(tmp_path)
    written = read_json(tmp_path / "transforms.json")
    assert written["version"] == 1
    assert "normalise" not in written
    assert PolicyTransforms.load(tmp_path) == plain


@pytest.mark.parametrize("part", ["state", "actions"])
def test_a_way_that_is_not_known_is_refused(tmp_path: Path, part: str):
    CHAIN.save(tmp_path)
    written = read_json(tmp_path / "transforms.json")
    written["normalise"][part] = "min_max"
    write_json(tmp_path / "transforms.json", written)
    with pytest.raises(ContractError, match=rf"normalise.{part} is 'min_max', expected one of"):
        PolicyTransforms.load(tmp_path)


def test_action_statistics_of_another_width_are_refused():
    with pytest.raises(ContractError, match="statistics of 2 action dimensions, sawyer-cell has 4"):
        replace(CHAIN, actions=Bounds((0.0, 0.0), (1.0, 1.0)))
