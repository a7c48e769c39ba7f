from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from components.core.errors import ContractError
from components.core.spec import SAWYER_CELL
from components.policy.action_heads.pooled import PooledRegression
from components.policy.action_heads.termination import Termination
from components.policy.adapters import module_key
from components.policy.losses import Loss
from components.policy.parts.blocks import Block, BlockTrunk
from components.policy.parts.masks import prefix
from components.policy.parts.policy import Parts, VlaPolicy
from components.policy.parts.resampler import Resampler
from components.policy.parts.resnet_tower import ResNetTower
from components.policy.parts.segments import STATE, VIEWS
from components.policy.parts.state import StateToken
from components.policy.shape import Shape
from components.policy.takeover import take_over

WIDTH, CHUNK = 16, 4
CELL = replace(SAWYER_CELL, observation=replace(SAWYER_CELL.observation, image_px=32))


def policy(termination: Termination | None, chunk: int = CHUNK) -> VlaPolicy:
    torch.manual_seed(1)
    tower, order = ResNetTower(32, channels=8), (VIEWS, STATE)
    parts = Parts(
        tower=tower,
        connector=Resampler(tuple(map(module_key, CELL.observation.cameras)), 1, tower.dim, WIDTH, 2, hidden=8),
        trunk=BlockTrunk(WIDTH, [Block(WIDTH, 2, 32)]),
        head=PooledRegression(WIDTH, chunk, 4, widths=(8,)),
        order=order,
        rules=prefix(order),
        state=StateToken(4, WIDTH),
        termination=termination,
    )
    return VlaPolicy(Shape(CELL, 4, 3, chunk), parts)


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    """The second window ends after one action; the third is padding of the batch."""
    generator = torch.Generator().manual_seed(2)
    mask = torch.ones(3, CHUNK)
    mask[1, 1:], mask[2] = 0.0, 0.0
    return {
        "images": torch.randint(0, 256, (3, 2, 32, 32, 3), generator=generator, dtype=torch.uint8),
        "state": torch.randn(3, 4, generator=generator),
        "tokens": torch.zeros(3, 3, dtype=torch.long),
        "actions": torch.zeros(3, CHUNK, 4),
        "mask": mask,
    }


def asked(batch):
    return batch["images"], batch["state"], batch["tokens"]


def test_the_end_is_where_the_mask_is_zero(batch):
    made = policy(Termination(WIDTH, CHUNK, hidden=8, weight=0.3))
    said = made.done(*asked(batch))
    over = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 1.0]])
    found = made.training_loss(batch)
    expected = functional.binary_cross_entropy(said[:2], over)
    torch.testing.assert_close(found.parts["done"], expected)
    acted = made.head.loss(made.context(*asked(batch)), batch)
    # Both are means, whatever the head counts.
    torch.testing.assert_close(found.total / found.count, acted.total / acted.count + 0.3 * expected)
    assert found.count == acted.count == 5 * 4


def test_a_window_counts_by_its_weight(batch):
    made = policy(Termination(WIDTH, CHUNK, hidden=8))
    weighed = made.training_loss(batch | {"weight": torch.tensor([0.0, 2.0, 1.0])}).parts["done"]
    alone = made.training_loss({name: value[1:2] for name, value in batch.items()}).parts["done"]
    torch.testing.assert_close(weighed, alone)


def test_a_batch_of_padding_alone_teaches_nothing(batch):
    head, part = Termination(WIDTH, CHUNK), {name: value[2:] for name, value in batch.items()}
    made = policy(head)
    nothing = Loss(torch.zeros(()), torch.ones(()), {})
    assert head.beside(nothing, made.context(*asked(part)), part).total == 0.0


def test_it_learns_when_an_episode_is_over(batch):
    made = policy(Termination(WIDTH, CHUNK, weight=1.0)).train()
    optimizer = torch.optim.Adam(made.parameters(), lr=1e-2)
    for _ in range(30):
        optimizer.zero_grad()
        loss = made.training_loss(batch)
        (loss.total / loss.count).backward()
        optimizer.step()
    said = made.eval().done(*asked(batch))
    assert said.shape == (3, CHUNK)
    assert said[0].max() < 0.2
    assert said[1, 0] < 0.2
    assert said[1, 1:].min() > 0.8


def test_answers_do_not_depend_on_it(batch):
    """What is exported is the same with it and without."""
    without, made = policy(None).eval(), policy(Termination(WIDTH, CHUNK)).eval()
    assert torch.equal(made(*asked(batch)), without(*asked(batch)))


def test_a_policy_without_one_says_so(batch):
    with pytest.raises(ContractError, match="does not say when an episode is over"):
        policy(None).done(*asked(batch))


def test_steps_of_a_longer_chunk_begin_from_those_that_are_known():
    base, longer = policy(Termination(WIDTH, CHUNK)), policy(Termination(WIDTH, 2 * CHUNK), 2 * CHUNK)
    report = take_over(longer, CELL, base.state_dict(), CELL, longer.adapters)
    assert report.rows["termination.last.weight"] == [CHUNK, 2 * CHUNK]
    assert torch.equal(longer.termination.last.weight[:CHUNK], base.termination.last.weight)
    assert "termination.first.weight" in report.taken
