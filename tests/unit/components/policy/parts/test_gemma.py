from __future__ import annotations

import pytest
import torch
from transformers import DynamicCache, GemmaConfig, GemmaModel
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm

from components.policy.parts.decoder import Decoder
from components.policy.parts.gemma import ActionExpert, AdaptiveNorm
from components.policy.parts.masks import additive

SHARED = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
NARROW = {"hidden_size": 16, "intermediate_size": 24}


def config(**sizes: int) -> GemmaConfig:
    return GemmaConfig(vocab_size=5, pad_token_id=0, bos_token_id=None, eos_token_id=None, **SHARED, **sizes)


def expert(*, adaptive: bool = False) -> ActionExpert:
    torch.manual_seed(1)
    made = ActionExpert(config(**NARROW), adaptive=adaptive).eval()
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if "dense" not in name:
                weight.add_(torch.randn_like(weight) * 0.1)
    return made


@pytest.fixture
def seen():
    """Six tokens of a prefix, of which the second row has four."""
    return torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]], dtype=torch.bool)


@pytest.fixture
def cache(seen):
    torch.manual_seed(2)
    trunk = Decoder(GemmaModel(config(hidden_size=32, intermediate_size=48)))
    mask = (seen[:, None] | torch.eye(6, dtype=torch.bool))[:, None]
    with torch.no_grad():
        return trunk.extend(torch.randn(2, 6, 32), (), mask, torch.arange(6).expand(2, -1))[1]


@pytest.fixture
def tokens():
    return torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(3))


def test_it_is_gemma_that_goes_on_from_a_cache(seen, cache, tokens):
    made, stock = expert(), GemmaModel(config(**NARROW)).eval()
    stock.load_state_dict(made.model.state_dict(), strict=False)
    mask = additive(
        torch.cat([seen, torch.ones(2, 3, dtype=torch.bool)], 1)[:, None, None].expand(-1, -1, 3, -1), torch.float32
    )
    with torch.no_grad():
        hidden, grown = made(tokens, made.ahead(cache, seen, 3))
        expected = stock(
            inputs_embeds=tokens, attention_mask=mask, past_key_values=DynamicCache(cache), use_cache=True,
            position_ids=torch.tensor([[6, 7, 8], [4, 5, 6]]),
        )  # fmt: skip
    torch.testing.assert_close(hidden, expected.last_hidden_state, atol=1e-6, rtol=1e-5)
    for (keys, values), layer in zip(grown, expected.past_key_values.layers, strict=True):
        torch.testing.assert_close(keys, layer.keys)
        torch.testing.assert_close(values, layer.values)


def test_what_it_goes_on_from_stays_as_it_was(seen, cache, tokens):
    made, before = expert(), [(keys.clone(), values.clone()) for keys, values in cache]
    with torch.no_grad():
        once, twice = (made(tokens, made.ahead(cache, seen, 3))[0] for _ in range(2))
    assert torch.equal(once, twice)
    for (keys, values), (old_keys, old_values) in zip(cache, before, strict=True):
        assert torch.equal(keys, old_keys)
        assert torch.equal(values, old_values)


def test_padding_of_the_prefix_is_not_seen(seen, cache, tokens):
    made = expert()
    other = tuple((torch.where(seen[:, None, :, None], keys, 9.0), values) for keys, values in cache)
    with torch.no_grad():
        before, after = (made(tokens, made.ahead(one, seen, 3))[0] for one in (cache, other))
    assert torch.equal(before, after)


def test_an_adaptive_norm_begins_as_the_plain_one_and_a_closed_gate():
    hidden, condition = torch.randn(2, 3, 16), torch.randn(2, 16)
    normed, gate = AdaptiveNorm(16, 1e-6)(hidden, condition)
    torch.testing.assert_close(normed, GemmaRMSNorm(16)(hidden))
    assert not gate.any()


def test_an_adaptive_norm_scales_shifts_and_gates_by_its_condition():
    torch.manual_seed(4)
    norm, hidden, condition = AdaptiveNorm(16, 1e-6), torch.randn(2, 3, 16), torch.randn(2, 16)
    with torch.no_grad():
        norm.dense.weight.normal_()
        norm.dense.bias.normal_()
        normed, gate = norm(hidden, condition)
        said = condition @ norm.dense.weight.T + norm.dense.bias
    plain = hidden / (hidden.square().mean(2, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(normed, plain * (1 + said[:, None, :16]) + said[:, None, 16:32])
    torch.testing.assert_close(gate[:, 0], said[:, 32:])


def test_with_open_gates_and_no_scale_the_adaptive_expert_is_the_plain_one(seen, cache, tokens):
    plain, adaptive = expert(), expert(adaptive=True)
    adaptive.load_state_dict(
        {name: one for name, one in plain.state_dict().items() if "norm" not in name}, strict=False
    )
    with torch.no_grad():
        for name, weight in plain.named_parameters():
            if "norm" in name:
                weight.zero_()
        condition = torch.randn(2, 16)
        closed = adaptive(tokens, adaptive.ahead(cache, seen, 3), condition)[0]
        for name, weight in adaptive.named_parameters():
            if name.endswith("dense.bias"):
                weight[32:] = 1.0
        opened = adaptive(tokens, adaptive.ahead(cache, seen, 3), condition)[0]
        expected = plain(tokens, plain.ahead(cache, seen, 3))[0]
    # Closed gates let nothing through but the tokens themselves.
    torch.testing.assert_close(closed, GemmaRMSNorm(16)(tokens))
    torch.testing.assert_close(opened, expected)


def test_one_condition_for_all_rows_is_that_of_each(seen, cache, tokens):
    made = expert(adaptive=True)
    condition = torch.randn(1, 16)
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
        one = made(tokens, made.ahead(cache, seen, 3), condition)[0]
        each = made(tokens, made.ahead(cache, seen, 3), condition.expand(2, -1))[0]
    torch.testing.assert_close(one, each)
