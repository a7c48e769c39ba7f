from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from components.policy.action_heads.gmm import MixtureHead
from components.policy.parts.blocks import BlockTrunk
from components.policy.parts.segments import VIEWS, Context, Segment

WIDTH, CHUNK, ACTION, MODES = 6, 3, 2, 4
either = pytest.mark.parametrize("per_step", [False, True])


def context(rows: int = 2) -> Context:
    hidden = torch.randn(rows, 4, WIDTH, generator=torch.Generator().manual_seed(1))
    nothing = torch.zeros(rows, 1)
    return Context((Segment.whole(VIEWS, hidden),), nothing, nothing.long(), BlockTrunk(WIDTH, []))


def batch(mask: list[list[float]]) -> dict[str, Tensor]:
    actions = torch.rand(len(mask), CHUNK, ACTION, generator=torch.Generator().manual_seed(2)) * 2.0 - 1.0
    return {"actions": actions, "mask": torch.tensor(mask)}


def head(*, per_step: bool = False) -> MixtureHead:
    torch.manual_seed(3)
    made = MixtureHead(WIDTH, CHUNK, ACTION, modes=MODES, hidden=8, per_step=per_step)
    with torch.no_grad():
        for weight in made.parameters():
            weight.mul_(3.0)
    return made


def reference(made: MixtureHead, actions: Tensor, *, steps: int = CHUNK) -> Tensor:
    """Log-likelihood [B] of the first `steps` by torch.distributions."""
    logits, means, stds = (part.detach() for part in made.mixture(context(len(actions))))
    if made.choices == 1:
        logits, means, stds = logits[:, 0], means[:, 0, :, :steps].flatten(2), stds[:, 0, :, :steps].flatten(2)
        values = actions[:, :steps].flatten(1)
    else:
        logits, means, stds = logits[:, :steps], means[:, :steps, :, 0], stds[:, :steps, :, 0]
        values = actions[:, :steps]
    mixture = MixtureSameFamily(Categorical(logits=logits), Independent(Normal(means, stds), 1))
    return mixture.log_prob(values).flatten(1).sum(dim=1) if made.choices > 1 else mixture.log_prob(values)


@either
def test_the_loss_is_the_likelihood_of_torch_distributions(per_step):
    made, given = head(per_step=per_step), batch([[1.0] * CHUNK] * 2)
    loss = made.loss(context(), given)
    torch.testing.assert_close(loss.total, -reference(made, given["actions"]).sum())
    assert loss.count == 2 * CHUNK * ACTION


@either
def test_what_lies_past_the_end_has_no_likelihood(per_step):
    made, given = head(per_step=per_step), batch([[1.0, 1.0, 0.0]] * 2)
    loss = made.loss(context(), given)
    torch.testing.assert_close(loss.total, -reference(made, given["actions"], steps=2).sum())
    given["actions"][:, 2] = 77.0
    torch.testing.assert_close(made.loss(context(), given).total, loss.total)


@either
def test_an_empty_row_counts_for_nothing(per_step):
    made = head(per_step=per_step)
    whole, row = batch([[1.0] * CHUNK, [0.0] * CHUNK]), batch([[1.0] * CHUNK])
    assert torch.allclose(made.loss(context(2), whole).total, -reference(made, whole["actions"])[0])
    assert made.loss(context(2), whole).count == row["mask"].sum() * ACTION


def test_a_window_counts_by_its_weight():
    made, given = head(), batch([[1.0] * CHUNK] * 2)
    each = reference(made, given["actions"])
    loss = made.loss(context(), given | {"weight": torch.tensor([0.5, 2.0])})
    torch.testing.assert_close(loss.total, -(0.5 * each[0] + 2.0 * each[1]))


@either
def test_the_answer_is_the_mean_of_the_most_likely_mode(per_step):
    made = head(per_step=per_step)
    logits, means, _ = made.mixture(context())
    answered = made.answer(context())
    assert answered.shape == (2, CHUNK, ACTION)
    for row in range(2):
        for step in range(CHUNK):
            choice, place = (step, 0) if per_step else (0, step)
            mode = int(logits[row, choice].argmax())
            torch.testing.assert_close(answered[row, step], means[row, choice, mode, place])


def test_means_are_bounded_and_deviations_are_not_too_small():
    made = head()
    with torch.no_grad():
        made.out["means"].bias.fill_(50.0)
        made.out["stds"].bias.fill_(-200.0)
        made.out["stds"].weight.zero_()
    _, means, stds = made.mixture(context())
    assert means.max() <= 1.0
    torch.testing.assert_close(stds, torch.full_like(stds, 1e-4))


def test_two_ways_of_doing_it_are_two_modes_and_not_their_middle():
    torch.manual_seed(5)
    made = MixtureHead(WIDTH, CHUNK, ACTION, modes=2, hidden=8)
    same = context(1)
    ways = torch.tensor([0.5, -0.5, 0.5]).view(3, 1, 1).expand(3, CHUNK, ACTION)
    asked = Context(
        (Segment.whole(VIEWS, same[VIEWS].expand(3, -1, -1)),), torch.zeros(3, 1), same.tokens, same.trunk
    )  # fmt: skip
    given = {"actions": ways, "mask": torch.ones(3, CHUNK)}
    optimizer = torch.optim.Adam(made.parameters(), lr=2e-2)
    for _ in range(200):
        optimizer.zero_grad()
        loss = made.loss(asked, given)
        (loss.total / loss.count).backward()
        optimizer.step()
    # Twice as often the one way, and never 0.17, which is what a regression would say.
    torch.testing.assert_close(made.answer(same), torch.full((1, CHUNK, ACTION), 0.5), atol=0.05, rtol=0.0)
    torch.testing.assert_close(made.mixture(same)[0].softmax(2).max(), torch.tensor(2.0 / 3.0), atol=0.05, rtol=0.0)


def test_all_of_it_belongs_to_one_robot():
    made = head()
    assert all(any(name.startswith(edge) for edge in made.action_edges) for name, _ in made.named_parameters())
