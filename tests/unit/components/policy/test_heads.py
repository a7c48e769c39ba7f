from __future__ import annotations

import torch

from components.policy.heads import ChunkHead


def test_chunk_shape_and_a_start_near_zero():
    torch.manual_seed(0)
    head = ChunkHead(features=10, chunk=8, action_dim=4)
    actions = head(torch.randn(64, 10))
    assert actions.shape == (64, 8, 4)
    assert 0.0 < actions.abs().max().item() < 0.2


def test_every_action_of_the_chunk_has_its_own_weights():
    head = ChunkHead(features=10, chunk=3, action_dim=2)
    features = torch.randn(1, 10)
    head(features)[0, 2, 1].backward()
    touched = head.mlp[-1].weight.grad.abs().sum(dim=1) > 0
    assert touched.tolist() == [False] * 5 + [True]
