from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import ContractError
from components.policy.parts.masks import Rule, additive, attention_mask, block_wise, causal, positions_of, prefix
from components.policy.parts.segments import Segment

NAMES = ("views", "text", "state", "slots")
lengths = st.lists(st.integers(1, 4), min_size=1, max_size=4)


def segments(lengths: list[int], padded: int = 0) -> list[Segment]:
    """The last `padded` tokens of the first segment are padding."""
    made = [Segment.whole(name, torch.zeros(2, length, 3)) for name, length in zip(NAMES, lengths, strict=False)]
    seen = made[0].seen.clone()
    seen[:, made[0].seen.shape[1] - padded :] = padded == 0
    return [Segment(made[0].name, made[0].embeds, seen), *made[1:]]


@given(lengths)
def test_causal_over_segments_is_causal_over_the_whole(lengths):
    mask = attention_mask(segments(lengths), causal(NAMES[: len(lengths)]))
    total = sum(lengths)
    assert torch.equal(mask[0, 0], torch.ones(total, total, dtype=torch.bool).tril())


@given(lengths)
def test_prefix_sees_all(lengths):
    assert attention_mask(segments(lengths), prefix(NAMES[: len(lengths)])).all()


@given(lengths)
def test_block_wise_sees_what_came_before_and_its_own(lengths):
    mask = attention_mask(segments(lengths), block_wise(NAMES[: len(lengths)]))[0, 0]
    block = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    assert torch.equal(mask, block[:, None] >= block[None, :])


@given(st.integers(1, 4), st.integers(1, 4))
def test_nobody_sees_padding_but_padding_itself(length, other):
    mask = attention_mask(segments([length, other], padded=length), prefix(NAMES[:2]))[0, 0]
    assert torch.equal(mask[:, :length], torch.eye(length + other, length, dtype=torch.bool))
    assert mask[:, length:].all()


def test_alone_sees_others_and_no_neighbour():
    mask = attention_mask(segments([2, 3]), (Rule("views"), Rule("text", "alone", ("views",))))[0, 0]
    assert torch.equal(mask[2:, 2:], torch.eye(3, dtype=torch.bool))
    assert mask[2:, :2].all()
    assert not mask[:2, 2:].any()


def test_a_segment_without_a_rule_is_refused():
    with pytest.raises(ContractError, match="no rule says what the segment 'text' attends to"):
        attention_mask(segments([1, 1]), (Rule("views"),))


def test_positions_do_not_count_padding():
    seen = torch.tensor([[True, True, False, True], [False, False, True, True]])
    assert positions_of(seen).tolist() == [[0, 1, 1, 2], [0, 0, 0, 1]]


def test_additive_is_zero_where_it_may_look():
    made = additive(torch.tensor([[True, False]]), torch.float32)
    assert made[0, 0] == 0.0
    assert made[0, 1] == torch.finfo(torch.float32).min
