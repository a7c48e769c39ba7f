from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import RecordError
from components.core.spec import SAWYER_CELL, Embodiment
from components.train.action_errors import ActionErrors, dimensions_of, errors_csv, gripper_middles, read_reports
from components.transforms.chain import PolicyTransforms

# A centimetre a count of the first dimension, and a gripper from 0 to 8.
ARM, GRIPPER = SAWYER_CELL.action.groups
GROUPS = (
    replace(ARM, low=(-2.0, -1.0, -1.0), high=(2.0, 1.0, 1.0), units="cm"),
    replace(GRIPPER, low=(0.0,), high=(8.0,), gripper_open=8.0, gripper_closed=0.0),
)
BODY = replace(SAWYER_CELL, action=replace(SAWYER_CELL.action, groups=GROUPS))


def transforms(body: Embodiment = BODY) -> PolicyTransforms:
    return PolicyTransforms.fit(body, np.zeros(4), np.ones(4), ["go"], text_len=4)


def empty(horizon: int) -> ActionErrors:
    return ActionErrors(transforms(), horizon)


def test_errors_are_means_over_what_was_recorded_in_both_units():
    errors = empty(3)
    target = np.zeros((2, 3, 4), np.float32)
    predicted = np.zeros((2, 3, 4), np.float32)
    predicted[0, 0, 0], predicted[1, 0, 0] = 0.5, -0.25
    predicted[1, 2] = 9.0  # past the end
    errors.update(predicted, target, np.array([[1, 1, 0], [1, 1, 0]], np.float32))
    report = errors.report(7)
    dx = report["dimensions"][0]
    assert (dx["name"], dx["unit"]) == ("dx", "cm")
    assert dx["error"] == [pytest.approx((1.0 + 0.5) / 2), 0.0, None]
    assert dx["normalised"] == [pytest.approx(0.375), 0.0, None]
    assert report["windows"] == [2, 2, 0]
    assert report["step"] == 7
    assert "agreement" not in dx


def test_physical_errors_are_those_of_what_a_robot_would_be_told():
    errors = empty(1)
    target = np.full((1, 1, 4), 1.0, np.float32)
    errors.update(target + 5.0, target, np.ones((1, 1), np.float32))
    dx = errors.report(0)["dimensions"][0]
    assert (dx["error"], dx["normalised"]) == ([0.0], [5.0])


def test_a_gripper_agrees_where_it_is_told_to_the_recorded_side_of_its_middle():
    errors = empty(1)
    target, predicted = np.zeros((4, 1, 4), np.float32), np.zeros((4, 1, 4), np.float32)
    target[:, 0, 3] = (-0.9, -0.9, 0.9, 0.9)
    predicted[:, 0, 3] = (-0.1, 0.1, 0.1, -0.1)
    errors.update(predicted, target, np.ones((4, 1), np.float32))
    assert errors.report(0)["dimensions"][3]["agreement"] == [0.5]


def test_what_is_not_finite_has_no_error_and_spoils_no_other_dimension():
    errors = empty(2)
    predicted = np.zeros((1, 2, 4), np.float32)
    predicted[0, 0, 1] = np.inf
    predicted[0, 1, 2] = np.nan
    errors.update(predicted, np.zeros((1, 2, 4), np.float32), np.ones((1, 2), np.float32))
    found = [entry["error"] for entry in errors.report(0)["dimensions"]]
    assert found == [[0.0, 0.0], [None, 0.0], [0.0, None], [0.0, 0.0]]


@given(st.integers(1, 11), st.integers(0, 2**32 - 1))
def test_the_report_does_not_depend_on_how_windows_are_cut_into_batches(cut: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    predicted, target = rng.uniform(-1.5, 1.5, (2, 12, 3, 4))
    target, mask = np.clip(target, -1, 1), (rng.random((12, 3)) < 0.7).astype(np.float32)
    whole, pieces = empty(3), empty(3)
    whole.update(predicted, target, mask)
    for part in (slice(None, cut), slice(cut, None)):
        pieces.update(predicted[part], target[part], mask[part])
    for one, other in zip(whole.report(1)["dimensions"], pieces.report(1)["dimensions"], strict=True):
        for key in ("error", "normalised"):
            np.testing.assert_allclose(np.array(one[key], float), np.array(other[key], float), rtol=1e-5)


def test_a_pass_begins_with_nothing():
    errors = empty(1)
    errors.update(np.ones((1, 1, 4)), np.zeros((1, 1, 4)), np.ones((1, 1)))
    errors.clear()
    assert errors.report(0)["windows"] == [0]
    assert {entry["error"][0] for entry in errors.report(0)["dimensions"]} == {None}


def test_names_that_two_groups_share_are_told_apart():
    two = replace(BODY, action=replace(BODY.action, groups=(GROUPS[0], replace(GROUPS[0], name="left"))))
    assert [name for name, _ in dimensions_of(two)][:4] == ["arm.dx", "arm.dy", "arm.dz", "left.dx"]
    np.testing.assert_array_equal(gripper_middles(BODY), [np.nan, np.nan, np.nan, 4.0])


def test_the_table_has_a_row_a_policy_horizon_and_dimension():
    errors = empty(2)
    errors.update(np.full((1, 2, 4), 0.5), np.zeros((1, 2, 4)), np.array([[1, 0]]))
    rows = list(csv.DictReader(io.StringIO(errors_csv({"seed-1": errors.report(3)}))))
    assert len(rows) == 8
    expected = {"name": "seed-1", "horizon": "0", "dimension": "dx", "error": "1.0", "unit": "cm", "normalised": "0.5"}
    assert rows[0] == expected
    assert rows[1]["error"] == "", "nothing counted"


def test_a_damaged_report_is_named(tmp_path):
    (tmp_path / "seed-1").mkdir()
    assert read_reports(tmp_path, ["seed-1"]) == {}
    (tmp_path / "seed-1" / "action_errors.json").write_text("{")
    with pytest.raises(RecordError, match=r"action_errors\.json: not JSON"):
        read_reports(tmp_path, ["seed-1"])
