from __future__ import annotations

import torch
from torch import nn

from components.policy.parts.blocks import Block, BlockTrunk, SelfAttention
from components.policy.parts.masks import Rule, block_wise, prefix
from components.policy.parts.segments import Segment


def made(**places: int) -> BlockTrunk:
    torch.manual_seed(1)
    return BlockTrunk(16, [Block(16, 2, 32, key_width=4) for _ in range(2)], places=places).eval()


def segments() -> list[Segment]:
    generator = torch.Generator().manual_seed(2)
    return [
        Segment.whole(name, torch.randn(2, length, 16, generator=generator))
        for name, length in (("views", 3), ("slots", 2))
    ]


def changed(part: Segment) -> Segment:
    return Segment(part.name, part.embeds + 1.0, part.seen)


def test_hidden_states_come_back_by_segment():
    hidden, cache = made()(segments(), prefix(("views", "slots")))
    assert [one.shape for one in hidden] == [(2, 3, 16), (2, 2, 16)]
    assert cache == ()


def test_what_a_rule_hides_changes_nothing():
    trunk, (views, slots) = made(), segments()
    rules = block_wise(("views", "slots"))
    before, _ = trunk([views, slots], rules)
    after, _ = trunk([views, changed(slots)], rules)
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])


def test_places_tell_tokens_apart():
    part = Segment.whole("views", torch.ones(1, 3, 16))
    (without,), _ = made()([part], [Rule("views")])
    (with_places,), _ = made(views=5)([part], [Rule("views")])
    torch.testing.assert_close(without[:, 0], without[:, 1])
    assert (with_places[:, 0] - with_places[:, 1]).abs().max() > 1e-3


def test_one_more_key_and_value_is_what_torch_calls_bias_kv():
    torch.manual_seed(3)
    ours, theirs = SelfAttention(16, 4, rest=True), nn.MultiheadAttention(16, 4, add_bias_kv=True, batch_first=True)
    with torch.no_grad():
        parts = (ours.query, ours.key, ours.value)
        theirs.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        theirs.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
        theirs.bias_k.copy_(ours.rest[:1].unsqueeze(0))
        theirs.bias_v.copy_(ours.rest[1:].unsqueeze(0))
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    hidden = torch.randn(2, 5, 16)
    mask = torch.ones(2, 1, 5, 5, dtype=torch.bool).tril()
    expected, _ = theirs(hidden, hidden, hidden, attn_mask=~mask[0, 0], need_weights=False)
    torch.testing.assert_close(ours(hidden, mask), expected, atol=1e-5, rtol=1e-5)


def test_positions_run_on_from_segment_to_segment():
    table = torch.arange(96.0).view(6, 16)
    trunk = BlockTrunk(16, [], positions=table, norm=False)
    (views, slots) = segments()
    (first, second), _ = trunk([views, slots], prefix(("views", "slots")))
    torch.testing.assert_close(first, views.embeds + table[:3])
    torch.testing.assert_close(second, slots.embeds + table[3:5])
    assert "positions" not in trunk.state_dict()
