from __future__ import annotations

import torch
from torch.nn import functional

from components.policy.parts.rt1_block import Rt1Block


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    hidden = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(1))
    return hidden, torch.ones(5, 5, dtype=torch.bool).tril()[None, None]


def made(dropout: float = 0.0) -> Rt1Block:
    torch.manual_seed(2)
    return Rt1Block(16, 2, 6, dropout=dropout).eval()


@torch.no_grad()
def test_after_attention_comes_one_linear_layer_without_activation():
    """Attention and feed, written out: scores by the root of the key width, two residual sums, norms before."""
    block, (hidden, mask) = made(), inputs()
    normed = functional.layer_norm(hidden, (16,), eps=1e-6)
    attention = block.attention
    query, key, value = (layer(normed).view(2, 5, 2, 6).transpose(1, 2) for layer in
                         (attention.query, attention.key, attention.value))  # fmt: skip
    scores = (query @ key.transpose(2, 3) / 6**0.5).masked_fill(~mask, float("-inf")).softmax(dim=3)
    summed = hidden + attention.out((scores @ value).transpose(1, 2).reshape(2, 5, 12))
    expected = summed + functional.layer_norm(summed, (16,), eps=1e-6) @ block.feed.weight.T + block.feed.bias
    torch.testing.assert_close(block(hidden, mask), expected)


@torch.no_grad()
def test_weights_of_attention_and_the_feed_are_dropped_in_training_alone():
    block, (hidden, mask) = made(0.5), inputs()
    assert torch.equal(block(hidden, mask), block(hidden, mask))
    block.train()
    block.dropout.p = 0.0
    assert not torch.equal(block(hidden, mask), block(hidden, mask))
    block.dropout.p, block.attention.dropout = 0.5, 0.0
    assert not torch.equal(block(hidden, mask), block(hidden, mask))
