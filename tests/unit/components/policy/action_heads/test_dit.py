from __future__ import annotations

import pytest
import torch
from torch import nn

from components.policy.action_heads.dit import BUCKETS, AdaNorm, Dit, DitBlock, DitSize, TimeEmbedding, time_sines

SIZE = DitSize(heads=2, head_width=8, layers=4, out=6)


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.fixture
def dit():
    torch.manual_seed(1)
    return Dit(SIZE).eval()


def asked(dit: Dit, observation: torch.Tensor, seen: torch.Tensor | None = None, hidden: torch.Tensor | None = None):
    mask = torch.zeros(2, 1, 1, 5) if seen is None else torch.where(seen[:, None, None], 0.0, -1e9)
    hidden = numbers(2, 3, 16) if hidden is None else hidden
    return dit(hidden, torch.tensor([10, 700]), dit.remember(observation), mask)


def test_zero_modulation_leaves_a_plain_norm():
    norm = AdaNorm(16)
    nn.init.zeros_(norm.modulation.weight)
    nn.init.zeros_(norm.modulation.bias)
    hidden = numbers(2, 3, 16)
    torch.testing.assert_close(norm(hidden, numbers(2, 16)), nn.functional.layer_norm(hidden, (16,)))


@pytest.mark.parametrize("scale_first", [True, False])
def test_the_halves_of_the_modulation_are_scale_and_shift(scale_first):
    norm = AdaNorm(4, scale_first=scale_first)
    nn.init.zeros_(norm.modulation.weight)
    ones, twos = torch.full((4,), 1.0), torch.full((4,), 2.0)
    norm.modulation.bias.data = torch.cat([ones, twos] if scale_first else [twos, ones])
    hidden = numbers(1, 3, 4)
    expected = nn.functional.layer_norm(hidden, (4,)) * (1.0 + ones) + twos
    torch.testing.assert_close(norm(hidden, numbers(1, 4)), expected)


def test_every_other_block_looks_at_the_observation(dit):
    assert [block.crosses for block in dit.blocks] == [True, False, True, False]
    assert [one is None for one in dit.remember(numbers(2, 5, 16))] == [False, True, False, True]


def test_without_its_crossing_blocks_it_sees_nothing_of_the_observation(dit):
    before = asked(dit, numbers(2, 5, 16))
    assert not torch.equal(asked(dit, numbers(2, 5, 16) + 1.0), before)
    for block in dit.blocks:
        if block.crosses:
            nn.init.zeros_(block.attention.out.weight)
    before = asked(dit, numbers(2, 5, 16))
    assert torch.equal(asked(dit, 1.0 - numbers(2, 5, 16)), before)


def test_without_its_other_blocks_no_token_sees_another(dit):
    hidden, observation = numbers(2, 3, 16), numbers(2, 5, 16)
    changed = hidden.clone()
    changed[:, 0] = numbers(2, 16)
    assert not torch.allclose(
        asked(dit, observation, hidden=hidden)[:, 1:], asked(dit, observation, hidden=changed)[:, 1:]
    )
    for block in dit.blocks:
        if not block.crosses:
            nn.init.zeros_(block.attention.out.weight)
    before, after = (asked(dit, observation, hidden=one) for one in (hidden, changed))
    torch.testing.assert_close(before[:, 1:], after[:, 1:])
    assert not torch.allclose(before[:, 0], after[:, 0])


def test_padding_of_the_observation_is_never_looked_at(dit):
    seen = torch.tensor([[True, True, True, False, False], [True] * 5])
    observation = numbers(2, 5, 16)
    changed = observation.clone()
    changed[0, 3:] = 9.0
    torch.testing.assert_close(asked(dit, observation, seen), asked(dit, changed, seen))
    changed[0, 0] = 9.0
    assert not torch.allclose(asked(dit, observation, seen)[0], asked(dit, changed, seen)[0])


def test_one_time_serves_all_rows(dit):
    hidden, memory, mask = numbers(2, 3, 16), dit.remember(numbers(2, 5, 16)), torch.zeros(2, 1, 1, 5)
    torch.testing.assert_close(
        dit(hidden, torch.tensor([4]), memory, mask), dit(hidden, torch.tensor([4, 4]), memory, mask)
    )


def test_times_are_told_by_the_sines_of_diffusers():
    embeddings = pytest.importorskip("diffusers.models.embeddings")
    expected = embeddings.get_timestep_embedding(torch.arange(BUCKETS), 256, True, downscale_freq_shift=1)
    torch.testing.assert_close(TimeEmbedding(8).sines, expected, atol=1e-3, rtol=0.0)
    expected = embeddings.get_timestep_embedding(torch.arange(BUCKETS), 16, False, downscale_freq_shift=0)
    torch.testing.assert_close(time_sines(16, 0, cosines_first=False), expected, atol=1e-3, rtol=0.0)


@pytest.mark.parametrize("crosses", [True, False])
def test_a_block_is_made_of_the_parts_of_diffusers(crosses):
    parts = pytest.importorskip("diffusers.models.attention_processor")
    feed = pytest.importorskip("diffusers.models.attention")
    torch.manual_seed(3)
    attention = parts.Attention(query_dim=16, heads=2, dim_head=8, bias=True, out_bias=True).eval()
    two = feed.FeedForward(16, activation_fn="gelu-approximate").eval()
    block = DitBlock(SIZE, crosses=crosses).eval()
    for ours, theirs in (
        (block.attention.query, attention.to_q),
        (block.attention.key, attention.to_k),
        (block.attention.value, attention.to_v),
        (block.attention.out, attention.to_out[0]),
        (block.feed[0], two.net[0].proj),
        (block.feed[3], two.net[2]),
    ):
        ours.load_state_dict(theirs.state_dict())
    hidden, time, observation = numbers(2, 3, 16), numbers(2, 16), numbers(2, 5, 16)
    normed = block.norm(hidden, time)
    between = hidden + attention(normed, encoder_hidden_states=observation if crosses else None)
    expected = between + two(nn.functional.layer_norm(between, (16,)))
    memory = block.attention.remember(observation) if crosses else None
    torch.testing.assert_close(block(hidden, time, memory, None), expected)
