from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from components.policy.action_heads.pooled import PooledRegression, Pooling
from components.policy.parts.blocks import BlockTrunk
from components.policy.parts.segments import SLOTS, STATE, VIEWS, Context, Segment

WIDTH, CHUNK, ACTION = 6, 3, 2


def context(*, slots: bool = False) -> Context:
    """Views of 4 tokens, of which the second row has 2; a state of 1; perhaps a slot."""
    generator = torch.Generator().manual_seed(1)
    parts = [
        Segment.whole(STATE, torch.randn(2, 1, WIDTH, generator=generator)),
        Segment(
            VIEWS, torch.randn(2, 4, WIDTH, generator=generator), torch.arange(4) < torch.tensor([[4], [2]])
        ),
    ]  # fmt: skip
    if slots:
        parts.append(Segment.whole(SLOTS, torch.randn(2, 1, WIDTH, generator=generator)))
    return Context(tuple(parts), torch.zeros(2, 3), torch.zeros(2, 4, dtype=torch.long), BlockTrunk(WIDTH, []))


def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return {
        "actions": torch.rand(2, CHUNK, ACTION, generator=generator) * 2.0 - 1.0,
        "mask": torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]]),
        "weight": torch.tensor([0.5, 1.5]),
    }


def head(**changes: object) -> PooledRegression:
    torch.manual_seed(3)
    return PooledRegression(WIDTH, CHUNK, ACTION, widths=(8, 5), **changes)


def test_the_mean_is_over_what_is_seen():
    read, pooled = context(), Pooling(WIDTH, "mean")(context())
    hidden = torch.cat([read[STATE], read[VIEWS]], dim=1)
    torch.testing.assert_close(pooled[0], hidden[0].mean(dim=0))
    torch.testing.assert_close(pooled[1], hidden[1, :3].mean(dim=0))


def test_the_last_is_the_last_that_is_seen():
    read, pooled = context(), Pooling(WIDTH, "last")(context())
    torch.testing.assert_close(pooled, torch.stack([read[VIEWS][0, 3], read[VIEWS][1, 1]]))


def test_a_slot_is_a_token_of_its_own():
    pooling, read = Pooling(WIDTH, "slot"), context(slots=True)
    assert head(pool="slot").slots == 1
    assert pooling.slot_tokens(2).shape == (2, 1, WIDTH)
    torch.testing.assert_close(pooling(read), read[SLOTS][:, 0])
    assert [head(pool=pool).slots for pool in ("mean", "last")] == [0, 0]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("l1", lambda one, other: (one - other).abs()),
        ("mse", lambda one, other: (one - other) ** 2),
        ("huber", lambda one, other: functional.huber_loss(one, other, reduction="none", delta=0.05) / 0.05),
    ],
)
def test_errors_count_where_the_episode_is_and_by_weight(error, expected):
    made, given = head(error=error), batch()
    apart = expected(made.answer(context()), given["actions"])
    loss = made.loss(context(), given)
    torch.testing.assert_close(loss.total, 0.5 * apart[0].sum() + 1.5 * apart[1, 0].sum())
    assert loss.count == 4 * ACTION
    assert set(loss.parts) == {error}


def test_answers_are_bounded_unless_they_are_not_to_be():
    bounded, free = head(), head(bounded=False)
    with torch.no_grad():
        for made in (bounded, free):
            made.layers[-1].bias.fill_(4.0)
    assert bounded.answer(context()).abs().max() < 1.0
    assert free.answer(context()).abs().max() > 1.0
    torch.testing.assert_close(free.answer(context()).tanh(), bounded.answer(context()))


def test_its_layers_are_those_of_hpt():
    """Linear, SiLU; then linear, dropout, norm, SiLU for every further width; linear."""
    torch.manual_seed(3)
    theirs = nn.Sequential(
        nn.Linear(WIDTH, 8), nn.SiLU(), nn.Linear(8, 5), nn.Dropout(0.1), nn.LayerNorm(5), nn.SiLU(),
        nn.Linear(5, CHUNK * ACTION), nn.Tanh(),
    )  # fmt: skip
    made = head(dropout=0.1)
    assert made.layers[3].p == 0.1
    made.layers.load_state_dict(theirs.state_dict())
    made.eval()
    theirs.eval()
    expected = theirs(Pooling(WIDTH, "mean")(context())).view(2, CHUNK, ACTION)
    torch.testing.assert_close(made.answer(context()), expected)


@pytest.mark.parametrize("pool", ["mean", "slot"])
def test_all_of_it_belongs_to_one_robot(pool):
    made = head(pool=pool)
    assert all(any(name.startswith(edge) for edge in made.action_edges) for name, _ in made.named_parameters())
