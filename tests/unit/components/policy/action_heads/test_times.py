from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.policy.action_heads.flow import PI0
from components.policy.action_heads.times import TimeWaves, beta_times


@given(time=st.floats(0.0, 1.0))
def test_a_time_is_sines_and_cosines_of_periods_in_equal_ratios(time):
    width = 8
    found = TimeWaves(width)(torch.tensor([time]))[0]
    periods = [4e-3 * (4.0 / 4e-3) ** (number / (width // 2 - 1)) for number in range(width // 2)]
    expected = [wave(2 * math.pi * time / period) for wave in (math.sin, math.cos) for period in periods]
    # 250 turns in single precision.
    torch.testing.assert_close(found, torch.tensor(expected), atol=5e-4, rtol=0.0)


def test_the_times_of_integration_are_constants_that_no_checkpoint_holds():
    waves = TimeWaves(16, PI0.times(10))
    torch.testing.assert_close(waves.table, waves(torch.linspace(1.0, 0.1, 10)), atol=2e-4, rtol=0.0)
    assert not waves.state_dict()


def test_they_are_numbers_even_where_a_policy_is_built_without_any():
    with torch.device("meta"):
        waves = TimeWaves(16, PI0.times(10))
    assert waves.table.device.type == waves.waves.device.type == "cpu"


def test_times_are_drawn_as_published():
    torch.manual_seed(1)
    times = beta_times(20_000, torch.device("cpu"))
    assert 0.001 <= times.min() < 0.01
    assert 0.999 < times.max() <= 1.0
    # The distribution function of Beta(1.5, 1) is x ** 1.5.
    for share in (0.25, 0.5, 0.75):
        below = (times < share ** (1 / 1.5) * 0.999 + 0.001).float().mean().item()
        assert below == pytest.approx(share, abs=0.015)
