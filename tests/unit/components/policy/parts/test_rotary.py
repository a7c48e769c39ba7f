from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

from components.policy.parts.rotary import Rotary, turned


def test_it_is_the_rotation_of_llama():
    config = LlamaConfig(
        hidden_size=32, num_attention_heads=4, rope_parameters={"rope_type": "default", "rope_theta": 77.0}
    )
    places = torch.tensor([[0, 1, 5], [3, 3, 9]])
    query, key = torch.randn(2, 4, 3, 8), torch.randn(2, 2, 3, 8)
    expected = apply_rotary_pos_emb(query, key, *LlamaRotaryEmbedding(config)(query, places))
    turns = Rotary(8, 77.0)(places)
    torch.testing.assert_close((turned(query, turns), turned(key, turns)), expected)


@settings(deadline=None)
@given(first=st.integers(0, 200), second=st.integers(0, 200), shift=st.integers(0, 200))
def test_only_the_distance_of_two_tokens_counts(first, second, shift):
    rotary = Rotary(16, 10_000.0)
    generator = torch.Generator().manual_seed(1)
    query, key = (torch.randn(1, 1, 1, 16, generator=generator) for _ in range(2))

    def score(at: int, to: int) -> torch.Tensor:
        return (turned(query, rotary(torch.tensor([[at]]))) * turned(key, rotary(torch.tensor([[to]])))).sum()

    torch.testing.assert_close(score(first, second), score(first + shift, second + shift), atol=2e-3, rtol=1e-3)


def test_the_first_place_turns_nothing():
    values = torch.randn(1, 2, 1, 8)
    assert torch.equal(turned(values, Rotary(8, 10.0)(torch.zeros(1, 1, dtype=torch.long))), values)
