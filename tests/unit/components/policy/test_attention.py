from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaModel

from components.core.errors import ComponentError, UsageError
from components.policy.attention import KERNELS, Attention, set_attention

WIDTH, HEADS = 32, 4


@pytest.fixture
def given():
    generator = torch.Generator().manual_seed(2)
    query, key, value = (torch.randn(3, length, WIDTH, generator=generator) for length in (5, 7, 7))
    hidden = torch.zeros(3, 7, dtype=torch.bool)
    hidden[0, 4:] = True
    hidden[2, 1] = True
    return query, key, value, hidden


@pytest.fixture
def attention():
    torch.manual_seed(1)
    module = Attention(WIDTH, HEADS)
    for projection in (module.query, module.key, module.value, module.out):
        nn.init.normal_(projection.bias)
    return module.eval()


def _reference(module: Attention) -> nn.MultiheadAttention:
    other = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True).eval()
    parts = (module.query, module.key, module.value)
    with torch.no_grad():
        other.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        other.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
        other.out_proj.load_state_dict(module.out.state_dict())
    return other


@pytest.mark.parametrize("kernel", sorted(KERNELS))
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_every_kernel_equals_torch_s_own_attention(attention, given, kernel, masked):
    query, key, value, hidden = given
    set_attention(attention, kernel)
    with torch.no_grad():
        found = attention(query, key, value, hidden if masked else None)
        expected, _ = _reference(attention)(query, key, value, key_padding_mask=hidden if masked else None)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_kernels_that_train_give_the_same_gradients(attention, given):
    grads = []
    for kernel in ("sdpa", "eager"):
        set_attention(attention, kernel)
        attention.zero_grad()
        attention(*given).square().sum().backward()
        grads.append({name: weight.grad.clone() for name, weight in attention.named_parameters()})
    for name, grad in grads[0].items():
        torch.testing.assert_close(grads[1][name], grad, atol=1e-4, rtol=1e-4)


def test_what_is_hidden_is_not_looked_at(attention, given):
    query, key, value, hidden = given
    before = attention(*given)
    value = value + 100.0 * hidden.unsqueeze(2)
    torch.testing.assert_close(attention(query, key, value, hidden), before)
    assert not torch.allclose(attention(query, key, value), before)


def test_flex_says_that_it_cannot_train_on_a_cpu(attention, given):
    set_attention(attention, "flex")
    with pytest.raises(ComponentError, match=r"does not train on a CPU.*sdpa or eager"):
        attention.train()(*given)


def test_weights_are_dropped_while_training_only(attention, given):
    attention.dropout = 0.5
    before = attention(*given)
    for kernel in ("sdpa", "eager"):
        set_attention(attention, kernel)
        torch.testing.assert_close(attention.eval()(*given), before)
        assert not torch.allclose(attention.train()(*given), before, atol=1e-2)


def test_the_kernel_is_no_part_of_the_weights(attention):
    names = set(attention.state_dict())
    set_attention(nn.ModuleList([attention]), "eager")
    assert attention.kernel == "eager"
    assert set(attention.state_dict()) == names == {
        f"{part}.{kind}" for part in ("query", "key", "value", "out") for kind in ("weight", "bias")
    }  # fmt: skip


def _llama() -> LlamaModel:
    config = {"vocab_size": 9, "hidden_size": WIDTH, "intermediate_size": 16, "num_hidden_layers": 1}
    return LlamaModel(LlamaConfig(**config, num_attention_heads=HEADS, num_key_value_heads=HEADS, pad_token_id=0))


def test_a_model_of_transformers_is_computed_as_asked():
    torch.manual_seed(1)
    policy = nn.ModuleDict({"trunk": _llama().eval()})
    given, answers = torch.tensor([[1, 2, 3]]), []
    for kernel in ("sdpa", "eager", "sdpa"):
        set_attention(policy, kernel)
        assert policy["trunk"].config._attn_implementation == kernel
        with torch.no_grad():
            answers.append(policy["trunk"](given).last_hidden_state)
    torch.testing.assert_close(answers[1], answers[0], atol=1e-5, rtol=0)
    assert torch.equal(answers[2], answers[0])


def test_a_model_without_fused_attention_stays_as_it_is(monkeypatch):
    model = _llama()
    set_attention(model, "eager")
    monkeypatch.setattr(LlamaModel, "_supports_sdpa", False)
    set_attention(model, "sdpa")
    assert model.config._attn_implementation == "eager"


def test_flex_is_refused_where_a_model_of_transformers_would_run_it():
    policy = nn.ModuleDict({"trunk": _llama()})
    with pytest.raises(ComponentError, match=r"FlexAttention does not run in trunk, a LlamaModel .*sdpa or eager"):
        set_attention(policy, "flex")
    assert policy["trunk"].config._attn_implementation == "sdpa"


def test_a_kernel_that_nobody_knows_is_refused(attention):
    with pytest.raises(UsageError, match=r"no attention kernel 'flash'.*eager, flex, sdpa"):
        set_attention(attention, "flash")
