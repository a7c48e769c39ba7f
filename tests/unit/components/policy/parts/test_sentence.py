from __future__ import annotations

import torch

from components.policy.parts.sentence import MeanOfWords


def made() -> MeanOfWords:
    torch.manual_seed(1)
    return MeanOfWords(6, 4)


def test_it_is_the_mean_of_the_words_that_are_there():
    sentence = made()
    found = sentence(torch.tensor([[2, 5, 0, 0], [3, 0, 0, 0]]))
    table = sentence.table.weight
    torch.testing.assert_close(found, torch.stack([(table[2] + table[5]) / 2, table[3]]))


def test_padding_counts_for_nothing():
    sentence = made()
    with torch.no_grad():
        sentence.table.weight[0] = 1e6
    assert torch.equal(sentence(torch.tensor([[2, 5, 0]])), sentence(torch.tensor([[2, 5]])))


def test_no_word_at_all_is_a_vector_of_zeros():
    assert torch.equal(made()(torch.zeros(2, 3, dtype=torch.int64)), torch.zeros(2, 4))
