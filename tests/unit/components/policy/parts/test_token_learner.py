from __future__ import annotations

import torch

from components.policy.parts.token_learner import TokenLearner


def made(**kwargs) -> TokenLearner:
    torch.manual_seed(1)
    return TokenLearner(12, 10, **kwargs).eval()


def features(views: int = 2, positions: int = 9) -> torch.Tensor:
    return torch.randn(3, views, positions, 12, generator=torch.Generator().manual_seed(2))


def test_what_a_token_takes_of_all_positions_is_one():
    attention = made().attention(features() * 50.0)
    assert attention.shape == (3, 2, 8, 9)
    assert attention.min() >= 0.0
    torch.testing.assert_close(attention.sum(dim=3), torch.ones(3, 2, 8))


def test_tokens_are_weighted_sums_of_the_features_themselves_not_of_normed_ones():
    learner, seen = made(count=3), features()
    summed = torch.einsum("bkmn,bknd->bkmd", learner.attention(seen), seen)
    torch.testing.assert_close(learner(seen), learner.project(summed).flatten(1, 2))


def test_so_many_tokens_a_view_whatever_the_positions():
    learner = made()
    assert learner(features(positions=100)).shape == (3, 16, 10)
    assert learner.tokens(6, 100) == 48


def test_each_view_has_tokens_of_its_own_in_order():
    learner, seen = made(), features()
    changed = seen.clone()
    changed[:, 1] += torch.randn(3, 9, 12, generator=torch.Generator().manual_seed(3))
    before, after = learner(seen), learner(changed)
    assert torch.equal(before[:, :8], after[:, :8])
    assert (before[:, 8:] != after[:, 8:]).any(dim=2).all()


def test_where_the_positions_lie_does_not_matter():
    order = torch.randperm(9, generator=torch.Generator().manual_seed(4))
    learner, seen = made(), features()
    torch.testing.assert_close(learner(seen[:, :, order]), learner(seen))


def test_dropout_is_for_training_alone():
    learner, seen = made(dropout=0.5), features()
    assert torch.equal(learner(seen), learner(seen))
    learner.train()
    assert not torch.equal(learner(seen), learner(seen))
