from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.policy.parts.state import StateToken, StateWords


def words(**options) -> StateWords:
    torch.manual_seed(1)
    return StateWords(3, 8, **options)


@pytest.mark.parametrize("hidden", [0, 5])
def test_a_state_is_one_token(hidden):
    assert StateToken(3, 8, hidden)(torch.randn(2, 3)).shape == (2, 1, 8)


@given(value=st.floats(-1.0, 1.0, exclude_max=True, width=32))
def test_bins_are_equal_parts_of_what_lies_between_the_limits(value):
    """As `np.digitize` over 256 edges from -1 does it, less one; within a rounding of an edge either bin will do."""
    found = words().bins_of(torch.full((1, 3), value))
    assert found.unique().numel() == 1
    assert abs((found[0, 0].item() + 0.5) / 128 - 1.0 - value) <= 0.5 / 128 + 1e-6


def test_what_lies_beyond_the_limits_is_in_the_outermost_bins():
    made = words(limit=3.0)
    assert made.bins_of(torch.tensor([[-9.0, -3.0, -2.99]])).tolist() == [[0, 0, 0]]
    assert made.bins_of(torch.tensor([[2.99, 3.0, 9.0]])).tolist() == [[255, 255, 255]]


def test_a_word_moves_only_with_the_bin_of_its_number():
    made = words()
    state = torch.tensor([[0.001, 0.5, -0.5]])
    before = made(state)
    assert before.shape == (1, 3, 8)
    assert torch.equal(made(state + 0.002), before)
    moved = made(state + torch.tensor([0.0, 0.01, 0.0]))
    assert torch.equal(moved[:, [0, 2]], before[:, [0, 2]])
    assert not torch.equal(moved[:, 1], before[:, 1])


def test_the_same_bin_of_two_numbers_is_two_words():
    found = words()(torch.zeros(1, 3))[0]
    assert not torch.equal(found[0], found[1])


def test_words_are_scaled_like_the_trunks_own():
    torch.testing.assert_close(words(scale=4.0)(torch.zeros(1, 3)), 4.0 * words()(torch.zeros(1, 3)))
