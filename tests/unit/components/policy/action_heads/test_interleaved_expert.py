from __future__ import annotations

import pytest
import torch

from components.policy.action_heads.interleaved_expert import ExpertLayer, ExpertSize, InterleavedExpert, copied
from components.policy.parts.rotary import turned

SIZE = ExpertSize(width=12, feed=20, layers=2, heads=4, shared=2, head_width=8, theta=100.0)
SEEN = torch.tensor([[True, True, True, False], [True, True, True, True]])


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def cache(layers: int = 2) -> tuple[tuple[torch.Tensor, torch.Tensor], ...]:
    return tuple((numbers(2, 2, 4, 8) + layer, numbers(2, 2, 4, 8) - layer) for layer in range(layers))


@pytest.fixture
def expert():
    torch.manual_seed(1)
    return InterleavedExpert(SIZE).eval()


def test_layers_take_turns(expert):
    assert [layer.attention.crosses for layer in expert.layers] == [False, True]
    # A crossing layer makes its keys of the trunk's, two heads of eight numbers; another of its own tokens.
    assert [layer.attention.key.in_features for layer in expert.layers] == [12, 16]


def by_hand(layer: ExpertLayer, hidden: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, expert) -> torch.Tensor:
    """One row without padding, head by head, as the published code has it."""
    attention, count = layer.attention, hidden.shape[0]
    normed = layer.attention_norm(hidden)
    start = 0 if attention.crosses else keys.shape[1]
    turns = expert.rotary(torch.arange(start, start + count)[None])
    query = turned(attention.query(normed).view(count, 4, 8).transpose(0, 1)[None], turns)[0]
    if attention.crosses:
        keys, values = (
            project(kept.transpose(0, 1).reshape(-1, 16)).view(-1, 2, 8).transpose(0, 1)
            for project, kept in ((attention.key, keys), (attention.value, values))
        )
    else:
        own = turned(attention.key(normed).view(count, 2, 8).transpose(0, 1)[None], turns)[0]
        keys = torch.cat([keys, own], dim=1)
        values = torch.cat([values, attention.value(normed).view(count, 2, 8).transpose(0, 1)], dim=1)
    mixed = torch.zeros(count, 4, 8)
    for head in range(4):
        for token in range(count):
            last = keys.shape[1] if attention.crosses else start + token + 1
            share = (keys[head // 2, :last] @ query[head, token] / 8**0.5).softmax(dim=0)
            mixed[token, head] = share @ values[head // 2, :last]
    hidden = hidden + attention.out(mixed.flatten(1))
    normed = layer.feed_norm(hidden)
    return hidden + layer.down(torch.nn.functional.silu(layer.gate(normed)) * layer.up(normed))


def test_it_is_what_the_published_code_computes(expert):
    hidden, row = numbers(2, 3, 12), 1
    expected = hidden[row]
    for layer, (keys, values) in zip(expert.layers, cache(), strict=True):
        expected = by_hand(layer, expected, keys[row], values[row], expert)
    made = expert(hidden, expert.observe(cache(), SEEN, 3))
    torch.testing.assert_close(made[row], expert.norm(expected))


def test_padding_of_the_trunk_is_never_looked_at_and_has_no_place(expert):
    hidden = numbers(2, 3, 12)
    before = expert(hidden, expert.observe(cache(), SEEN, 3))
    changed = [(keys.clone(), values.clone()) for keys, values in cache()]
    for keys, values in changed:
        keys[0, :, 3], values[0, :, 3] = 9.0, 9.0
    torch.testing.assert_close(expert(hidden, expert.observe(changed, SEEN, 3)), before)
    shorter = [(keys[:1, :, :3], values[:1, :, :3]) for keys, values in cache()]
    torch.testing.assert_close(expert(hidden[:1], expert.observe(shorter, SEEN[:1, :3], 3)), before[:1])


def test_joining_layers_see_earlier_actions_and_crossing_ones_none(expert):
    hidden = numbers(2, 3, 12)
    changed = hidden.clone()
    changed[:, 1] += 1.0
    observed = expert.observe(cache(), SEEN, 3)
    for layer, memory, blind_to in zip(expert.layers, observed.memory, ([0], [0, 2]), strict=True):
        before, after = (layer(one, memory, observed) for one in (hidden, changed))
        same = [token for token in range(3) if torch.allclose(before[:, token], after[:, token], atol=1e-6)]
        assert same == blind_to


def test_copies_of_an_observation_answer_as_it_does(expert):
    hidden, observed = numbers(2, 3, 12), expert.observe(cache(), SEEN, 3)
    again = expert(hidden.repeat_interleave(3, dim=0), copied(observed, 3))
    torch.testing.assert_close(again, expert(hidden, observed).repeat_interleave(3, dim=0))


def test_layers_that_the_trunk_lacks_are_an_error(expert):
    with pytest.raises(ValueError, match="shorter"):
        expert.observe(cache(1), SEEN, 3)
