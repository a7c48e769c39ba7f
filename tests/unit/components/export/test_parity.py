from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from components.core.errors import GateRefused
from components.core.spec import SAWYER_CELL
from components.export.parity import measure, require_parity

ACTION = SAWYER_CELL.action
INPUTS = {"state": np.arange(28, dtype=np.float32).reshape(7, 4) / 28, "tokens": np.zeros((7, 2), np.int64)}


def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.repeat(inputs["state"][:, None, :], 3, axis=1)


def off_in_dz(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    actions = reference(inputs).copy()
    actions[:, 1, 2] += np.float32(0.5)
    return actions


def off_at_batch_three(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    return reference(inputs) + np.float32(len(inputs["state"]) == 3)


def run(candidate, action=ACTION):
    return measure(reference, candidate, INPUTS, action, names=("torch", "onnxruntime"))


def test_equal_policies_differ_by_nothing():
    parity = run(reference)
    assert parity["max_abs"] == 0.0
    assert parity["samples"] == 7
    assert sorted(parity["per_batch"]) == ["1", "2", "3"]
    require_parity(parity, 1e-9, where="seed-1")


def test_the_dimension_that_is_off_is_found_with_maximum_and_rms():
    entry = run(off_in_dz)["per_batch"]["2"]
    assert entry["max_abs"] == {"dx": 0.0, "dy": 0.0, "dz": pytest.approx(0.5, abs=1e-6), "effort": 0.0}
    # One of three horizon steps is off by 0.5.
    assert entry["rms"]["dz"] == pytest.approx(0.5 / 3**0.5, abs=1e-6)
    with pytest.raises(GateRefused, match=r"seed-1: action dz of onnxruntime differs from torch by 0\.5 at batch 1"):
        require_parity(run(off_in_dz), 0.1, where="seed-1")


def test_differences_are_in_physical_units():
    arm = replace(ACTION.groups[0], low=(-10.0,) * 3, high=(30.0,) * 3)
    parity = run(off_in_dz, replace(ACTION, groups=(arm, ACTION.groups[1])))
    assert parity["max_abs"] == pytest.approx(0.5 * 20.0, rel=1e-5)


def test_an_error_of_one_batch_size_is_found():
    parity = run(off_at_batch_three)
    assert parity["per_batch"]["1"]["max_abs"]["dx"] == 0.0
    with pytest.raises(GateRefused, match="at batch 3"):
        require_parity(parity, 0.1, where="seed-1")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused_however_wide_the_limit(value: float):
    parity = run(lambda inputs: reference(inputs) * np.float32(value))
    assert parity["max_abs"] is None
    with pytest.raises(GateRefused, match="differs from torch by NaN"):
        require_parity(parity, 1e30, where="seed-1")
