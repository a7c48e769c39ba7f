from __future__ import annotations

import pytest
import torch
from torch import nn

from components.policy.dense import Dense


@pytest.fixture
def pair():
    """The layer and torch's own with the same weights."""
    torch.manual_seed(4)
    ours, theirs = Dense(48, 80), nn.Linear(48, 80)
    theirs.load_state_dict(ours.state_dict())
    return ours.train(), theirs


@pytest.mark.parametrize("shape", [(7, 48), (3, 5, 48), (1, 48), (2, 1, 4, 48)])
def test_the_same_numbers_and_gradients_as_torch(pair, shape):
    features = torch.randn(shape)
    found = []
    for layer in pair:
        given = features.clone().requires_grad_()
        out = layer(given)
        out.sin().sum().backward()
        found.append((out, given.grad, layer.weight.grad, layer.bias.grad))
    for left, right in zip(*found, strict=True):
        assert left.shape == right.shape
        torch.testing.assert_close(left, right, atol=1e-5, rtol=1e-5)


def test_views_that_are_not_contiguous(pair):
    ours, theirs = pair
    features = torch.randn(48, 6).t()
    torch.testing.assert_close(ours(features), theirs(features), atol=1e-5, rtol=1e-5)
    (gradient,) = torch.autograd.grad(ours(features).expand(2, -1, -1).sum(), ours.weight)
    torch.testing.assert_close(gradient, 2 * features.sum(0).expand(80, -1), atol=1e-4, rtol=1e-4)


def test_a_weight_that_stands_still_gets_no_gradient(pair):
    ours, theirs = pair
    ours.weight.requires_grad_(False)
    given = torch.randn(5, 48, requires_grad=True)
    ours(given).sum().backward()
    assert ours.weight.grad is None
    torch.testing.assert_close(given.grad, theirs.weight.sum(0).expand(5, -1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_arithmetic_is_torch_s_own(pair, dtype):
    ours, theirs = (layer.to(dtype) for layer in pair)
    features = torch.randn(5, 48, dtype=dtype)
    assert torch.equal(ours(features), theirs(features))


def test_under_autocast_it_is_torch_s_own(pair):
    ours, theirs = pair
    features = torch.randn(5, 48)
    with torch.autocast("cpu", torch.bfloat16):
        found = ours(features)
        assert found.dtype is torch.bfloat16
        assert torch.equal(found, theirs(features))


def test_what_acts_is_torch_s_own(pair):
    ours, theirs = pair
    features = torch.randn(5, 48)
    with torch.no_grad():
        assert torch.equal(ours(features), theirs(features))
    assert torch.equal(ours.eval()(features), theirs(features))
