from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import ContractError
from components.policy.action_heads.binning import Bins
from components.policy.action_heads.bins import RT1_BINS

limits = st.tuples(st.floats(-10.0, 10.0, width=32), st.floats(0.125, 10.0, width=32))


@given(limits=limits, count=st.integers(1, 512), shares=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20))
def test_there_and_back_is_at_most_half_a_bin_off(limits, count, shares):
    bins = Bins(limits[0], limits[0] + limits[1], count)
    values = torch.tensor(shares, dtype=torch.float64) * (bins.high - bins.low) + bins.low
    found = bins.of(values)
    assert found.min() >= 0
    assert found.max() < count
    assert (bins.centres(found) - values).abs().max() <= bins.width / 2 + 1e-5


@given(limits=limits, count=st.integers(1, 512))
def test_the_centre_of_a_bin_lies_in_it(limits, count):
    bins = Bins(limits[0], limits[0] + limits[1], count)
    assert torch.equal(bins.of(bins.centres(torch.arange(count)).double()), torch.arange(count))


@given(value=st.floats(1.0, 1e6))
def test_numbers_beyond_the_limits_are_in_the_outermost_bins(value):
    assert RT1_BINS.of(torch.tensor([-value, value])).tolist() == [0, 255]


def test_the_published_bins():
    assert (RT1_BINS.low, RT1_BINS.high, RT1_BINS.count) == (-1.0, 1.0, 256)
    assert RT1_BINS.width == 1.0 / 128.0
    assert RT1_BINS.of(torch.tensor([-1.0, -1e-6, 0.0, 1.0])).tolist() == [0, 127, 128, 255]
    assert RT1_BINS.centres(torch.tensor([0, 255])).tolist() == [-0.99609375, 0.99609375]


@pytest.mark.parametrize(("low", "high", "count"), [(0.0, 1.0, 0), (1.0, 1.0, 4), (1.0, -1.0, 4)])
def test_bins_that_hold_nothing_are_refused(low, high, count):
    with pytest.raises(ContractError, match=f"{count} bins from {low} to {high} hold no number"):
        Bins(low, high, count)
