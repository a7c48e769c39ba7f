from __future__ import annotations

import pytest
import torch

from components.policy.language import InstructionEncoder


@pytest.fixture
def encoder():
    torch.manual_seed(5)
    return InstructionEncoder(vocab_size=10, text_len=4, dim=8)


def test_padding_does_not_count(encoder):
    short = torch.tensor([[3, 4, 0, 0]])
    before = encoder(short)
    with torch.no_grad():
        encoder.words.weight[0] += 7.0
        encoder.positions[2:] += 7.0
    torch.testing.assert_close(encoder(short), before)


def test_word_order_counts(encoder):
    assert not torch.allclose(encoder(torch.tensor([[3, 4, 0, 0]])), encoder(torch.tensor([[4, 3, 0, 0]])))


def test_a_row_of_padding_gives_finite_numbers(encoder):
    assert torch.isfinite(encoder(torch.zeros(2, 4, dtype=torch.int64))).all()
