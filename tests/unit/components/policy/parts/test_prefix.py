from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaModel

from components.policy.parts.decoder import Decoder
from components.policy.parts.masks import prefix
from components.policy.parts.prefix import PrefixDecoder
from components.policy.parts.segments import Segment

ORDER = ("views", "text")


@pytest.fixture
def config():
    return LlamaConfig(
        vocab_size=11, hidden_size=24, intermediate_size=32, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, rms_norm_eps=1e-5, max_position_embeddings=64, pad_token_id=0,
    )  # fmt: skip


@pytest.fixture
def segments():
    generator = torch.Generator().manual_seed(2)
    views = Segment.whole("views", torch.randn(2, 3, 24, generator=generator))
    seen = torch.tensor([[True, True, False], [True, True, True]])
    return [views, Segment("text", torch.randn(2, 3, 24, generator=generator), seen)]


def with_weights_of(whole: LlamaModel, config: LlamaConfig) -> PrefixDecoder:
    trunk = PrefixDecoder(config)
    trunk.model.load_state_dict(whole.state_dict(), strict=False)
    last = whole.layers[-1]
    trunk.last.norm.load_state_dict(last.input_layernorm.state_dict())
    trunk.last.key.load_state_dict(last.self_attn.k_proj.state_dict())
    trunk.last.value.load_state_dict(last.self_attn.v_proj.state_dict())
    return trunk.eval()


def test_keys_and_values_are_those_of_the_whole_model(config, segments):
    torch.manual_seed(1)
    whole = LlamaModel(config).eval()
    _, expected = Decoder(whole)(segments, prefix(ORDER))
    hidden, cache = with_weights_of(whole, config)(segments, prefix(ORDER))
    assert [one.shape for one in hidden] == [(2, 3, 24), (2, 3, 24)]
    assert len(cache) == 3
    torch.testing.assert_close(cache, expected)


def test_nothing_is_built_that_the_keys_and_values_do_not_need(config, segments):
    trunk = PrefixDecoder(config)
    embedded = Segment("text", trunk.embed(torch.tensor([[1, 2], [3, 0]])), torch.ones(2, 2, dtype=torch.bool))
    _, cache = trunk([segments[0], embedded], prefix(ORDER))
    sum(one.square().sum() for pair in cache for one in pair).backward()
    assert [name for name, weight in trunk.named_parameters() if weight.grad is None or not weight.grad.any()] == []
