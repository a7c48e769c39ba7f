from __future__ import annotations

import torch
from torch import nn

from components.policy.heads import ChunkHead, SumOfSources

SIZES = {"state": 4, "text": 6}


def _features(rows: int) -> dict[str, torch.Tensor]:
    return {name: torch.randn(rows, size) for name, size in SIZES.items()}


def test_chunk_shape_and_a_start_near_zero():
    torch.manual_seed(0)
    head = ChunkHead(SIZES, chunk=8, action_dim=4)
    actions = head(_features(64))
    assert actions.shape == (64, 8, 4)
    assert 0.0 < actions.abs().max().item() < 0.2


def test_every_action_of_the_chunk_has_its_own_weights():
    head = ChunkHead(SIZES, chunk=3, action_dim=2)
    head(_features(1))[0, 2, 1].backward()
    touched = head.last.weight.grad.abs().sum(dim=1) > 0
    assert touched.tolist() == [False] * 5 + [True]


def test_a_sum_of_sources_is_one_layer_over_all_of_them_and_starts_like_it():
    torch.manual_seed(7)
    whole = nn.Linear(10, 5)
    torch.manual_seed(7)
    parts = SumOfSources(SIZES, 5)
    features = _features(3)
    torch.testing.assert_close(parts(features), whole(torch.cat(list(features.values()), dim=1)))
    # What is drawn next is drawn as after one layer.
    torch.manual_seed(7)
    nn.Linear(10, 5)
    after = torch.rand(1)
    torch.manual_seed(7)
    SumOfSources(SIZES, 5)
    assert torch.equal(torch.rand(1), after)
