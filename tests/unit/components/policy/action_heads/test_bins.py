from __future__ import annotations

import math

import pytest
import torch

from components.policy.action_heads.binning import Bins
from components.policy.action_heads.bins import ParallelBins
from components.policy.parts.blocks import Block, BlockTrunk
from components.policy.parts.segments import SLOTS, Context, Segment

CHUNK, DIM, WIDTH = 3, 2, 8
FOUR = Bins(-1.0, 1.0, 4)


def made(bins: Bins = FOUR) -> ParallelBins:
    torch.manual_seed(1)
    return ParallelBins(WIDTH, CHUNK, DIM, bins)


def context(hidden: torch.Tensor) -> Context:
    trunk = BlockTrunk(WIDTH, [Block(WIDTH, 2, 8)])
    rows = hidden.shape[0]
    segment = Segment.whole(SLOTS, hidden)
    return Context((segment,), torch.zeros(rows, 1), torch.zeros(rows, 1, dtype=torch.int64), trunk)


def hidden(rows: int = 2) -> torch.Tensor:
    return torch.randn(rows, CHUNK * DIM, WIDTH, generator=torch.Generator().manual_seed(2))


def test_there_is_a_slot_a_number_with_a_place_of_its_own():
    head = made()
    first, second = head.slot_tokens(2)
    assert first.shape == (CHUNK * DIM, WIDTH)
    assert torch.equal(first, second)
    assert len(first.unique(dim=0)) == CHUNK * DIM


def test_the_answer_is_the_centre_of_the_likeliest_bin():
    head, seen = made(), context(hidden())
    logits = seen[SLOTS] @ head.scores.weight.T + head.scores.bias
    expected = torch.tensor([-0.75, -0.25, 0.25, 0.75])[logits.argmax(dim=2)].view(2, CHUNK, DIM)
    assert torch.equal(head.answer(seen), expected)
    assert head.answer(seen).dtype == torch.float32


def test_the_loss_is_the_surprise_at_the_recorded_bins_where_the_mask_is_one():
    head, seen = made(), context(hidden())
    actions = torch.rand(2, CHUNK, DIM, generator=torch.Generator().manual_seed(3)) * 2.0 - 1.0
    mask = torch.ones(2, CHUNK)
    mask[0, 1:] = 0.0
    likely = head.logits(seen).log_softmax(dim=3)
    found = head.loss(seen, {"actions": actions, "mask": mask})
    expected = sum(
        -likely[row, step, number, head.bins.of(actions[row, step, number])].item()
        for row in range(2) for step in range(CHUNK) for number in range(DIM) if mask[row, step]
    )  # fmt: skip
    assert found.total.item() == pytest.approx(expected, rel=1e-5)
    assert found.count == 4 * DIM
    assert found.parts["cross_entropy"].item() == pytest.approx(expected / 8, rel=1e-5)


def test_windows_count_by_their_weight():
    head, seen = made(), context(hidden())
    batch = {"actions": torch.zeros(2, CHUNK, DIM), "mask": torch.ones(2, CHUNK)}
    both = head.loss(seen, batch)
    first = head.loss(seen, batch | {"weight": torch.tensor([1.0, 0.0])})
    second = head.loss(seen, batch | {"weight": torch.tensor([0.0, 1.0])})
    torch.testing.assert_close(first.total + second.total, both.total)
    assert first.count == both.count


def test_who_knows_nothing_is_as_surprised_as_there_are_bins():
    head = made(Bins(-1.0, 1.0, 256))
    torch.nn.init.zeros_(head.scores.weight)
    torch.nn.init.zeros_(head.scores.bias)
    batch = {"actions": torch.zeros(2, CHUNK, DIM), "mask": torch.ones(2, CHUNK)}
    total, count, _ = head.loss(context(hidden()), batch)
    assert (total / count).item() == pytest.approx(math.log(256), rel=1e-6)
