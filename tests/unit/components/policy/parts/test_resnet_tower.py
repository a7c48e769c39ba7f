from __future__ import annotations

import torch
from torch import nn

from components.policy.parts.resnet_tower import ResNetTower


def made(px: int = 64) -> ResNetTower:
    torch.manual_seed(1)
    return ResNetTower(px, channels=8)


def images(count: int, px: int = 64) -> torch.Tensor:
    return torch.randint(0, 256, (count, px, px, 3), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)


def test_it_says_how_many_features_it_gives():
    for px in (32, 64, 96):
        tower = made(px)
        assert tower(images(2, px)).shape == (2, tower.tokens, tower.dim)


def test_the_published_width_is_that_of_resnet_18():
    with torch.device("meta"):
        tower = ResNetTower(224)
    # torchvision's 11,689,512 without the classifier's 513,000.
    assert sum(weight.numel() for weight in tower.parameters()) == 11_176_512
    assert (tower.dim, tower.tokens) == (512, 49)


def test_an_image_has_the_same_features_whatever_is_beside_it_in_training_too():
    tower, seen = made().train(), images(3)
    torch.testing.assert_close(tower(seen)[:1], tower(seen[:1]), atol=1e-5, rtol=1e-5)
    norms = [module for module in tower.modules() if isinstance(module, nn.BatchNorm2d)]
    assert tower.training
    assert all(not norm.running_mean.any() and (norm.running_var == 1.0).all() for norm in norms)


def test_its_scales_learn():
    tower = made().train()
    tower(images(2)).square().mean().backward()
    last = tower.model.encoder.stages[3].layers[1].layer[-1].normalization
    assert last.weight.grad.any()


def test_features_do_not_grow_with_depth():
    with torch.no_grad():
        assert made()(images(2)).std() < 10.0
