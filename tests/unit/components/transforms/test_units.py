from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import ContractError
from components.transforms.units import ConvertUnits, GripperRange, convertible, quantity, unit_name

values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5).map(np.array)
ends = st.floats(-1000, 1000)
ranges = st.tuples(ends, ends).filter(lambda ends: abs(ends[0] - ends[1]) > 1e-3)


@pytest.mark.parametrize(
    ("found", "expected", "factor"),
    [
        ("deg", "rad", math.pi / 180),
        ("degrees", "rad", math.pi / 180),
        ("rad", "deg", 180 / math.pi),
        ("mm", "m", 0.001),
        ("cm", "mm", 10.0),
        ("deg/s", "rad/s", math.pi / 180),
        ("mm/s", "m/s", 0.001),
        ("metres", "m", 1.0),
        ("normalised", "normalised (1 = 0.05 m a step)", 1.0),
    ],
)
@given(numbers=values)
def test_units_become_others_and_back(found: str, expected: str, factor: float, numbers: np.ndarray) -> None:
    convert = ConvertUnits(found, expected)
    assert convert.factor == pytest.approx(factor)
    np.testing.assert_allclose(convert.apply(numbers), numbers * factor, rtol=1e-14, atol=1e-300)
    np.testing.assert_allclose(convert.inverse(convert.apply(numbers)), numbers, rtol=1e-15, atol=1e-300)


@pytest.mark.parametrize(("found", "expected"), [("m", "rad"), ("normalised", "m"), ("m/s", "m"), ("N", "Nm")])
def test_units_of_two_quantities_are_refused(found: str, expected: str) -> None:
    assert not convertible(found, expected)
    with pytest.raises(ContractError, match=f"units are '{found}', which cannot become '{expected}'"):
        ConvertUnits(found, expected)


def test_an_explanation_is_no_part_of_a_unit() -> None:
    assert unit_name("normalised (1 = 0.05 m a step)") == "normalised"
    assert (quantity("millimeters"), quantity("percent")) == ("length", "")
    assert convertible("percent", "percent")


@given(ranges, ranges, values)
def test_gripper_ranges_map_both_ways(found: tuple[float, float], expected: tuple[float, float], v: np.ndarray) -> None:
    mapping = GripperRange(found, expected)
    np.testing.assert_allclose(mapping.apply(np.array(found)), expected, atol=1e-9)
    v = np.clip(v, -1000, 1000)
    span = max(1.0, abs((expected[1] - expected[0]) / (found[1] - found[0])))
    largest = 1000 * max(1.0, abs((found[1] - found[0]) / (expected[1] - expected[0])))
    np.testing.assert_allclose(mapping.inverse(mapping.apply(v)), v, atol=1e-12 * largest * span)


def test_a_gripper_that_counts_the_other_way_is_turned() -> None:
    turn = GripperRange((0.0, 100.0), (1.0, -1.0))
    np.testing.assert_allclose(turn.apply(np.array([0.0, 25.0, 100.0, 110.0])), [1.0, 0.5, -1.0, -1.2])
    same = np.array([0.123456789])
    np.testing.assert_array_equal(GripperRange((0.0, 0.3), (0.0, 0.3)).apply(same), same)


@pytest.mark.parametrize("ends", [(1.0, 1.0), (0.0, math.nan), (math.inf, 0.0)])
def test_a_gripper_that_cannot_move_is_refused(ends: tuple[float, float]) -> None:
    with pytest.raises(ContractError, match="a gripper cannot be open at"):
        GripperRange((0.0, 1.0), ends)
