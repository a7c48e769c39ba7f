from __future__ import annotations

import pytest
import torch
from torch import nn

from components.policy.parts.efficientnet import EfficientNetTower, WholeBranch, efficientnet, sides

TINY = {"width_coefficient": 0.25, "depth_coefficient": 1.0, "num_block_repeats": (1,) * 7, "hidden_dim": 320}


def made(px: int = 64, norm="group", **widths) -> EfficientNetTower:
    torch.manual_seed(1)
    return EfficientNetTower(efficientnet(px, **{**TINY, **widths}), text_dim=5, dim=16, norm=norm).eval()


def inputs(px: int = 64, count: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (count, px, px, 3), generator=generator, dtype=torch.uint8)
    return images, torch.randn(count, 5, generator=generator)


def steered(tower: EfficientNetTower) -> EfficientNetTower:
    """With FiLM that has learnt something."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for film in [*tower.films, tower.last_film]:
            film.scale.weight.copy_(torch.randn(film.scale.weight.shape, generator=generator) * 0.1)
    return tower


def test_a_new_tower_is_the_network_of_transformers_and_a_convolution():
    model = efficientnet(64, **TINY)
    tower, (images, sentence) = EfficientNetTower(model, 5, 16).eval(), inputs()
    with torch.no_grad():
        plain = model.eval()(pixel_values=tower.pixels(images)).last_hidden_state
        expected = torch.einsum("nchw,dc->nhwd", plain, tower.reduce.weight[:, :, 0, 0]).flatten(1, 2)
        torch.testing.assert_close(tower(images, sentence), expected)


@torch.no_grad()
def test_a_new_tower_does_not_listen_and_a_steered_one_does():
    images, sentence = inputs()
    new, learnt = made(), steered(made())
    assert torch.equal(new(images, sentence), new(images, -sentence))
    assert (learnt(images, sentence) - learnt(images, -sentence)).abs().mean() > 1e-3


def test_there_is_a_film_after_every_block_and_one_at_the_end():
    tower, (images, sentence) = made(), inputs()
    sentence.requires_grad_()
    tower(images, sentence).square().sum().backward()
    films = [*tower.films, tower.last_film]
    assert len(films) == len(tower.encoder.blocks) + 1
    assert all(film.shift.weight.grad.abs().sum() > 0.0 for film in films)


@pytest.mark.parametrize("px", [32, 47, 75, 96, 110])
@torch.no_grad()
def test_it_says_how_many_features_there_will_be(px):
    tower = made(px)
    features = tower(*inputs(px, count=1))
    assert features.shape == (1, tower.tokens, tower.dim)


@torch.no_grad()
def test_images_of_another_size_are_scaled_to_its_own():
    tower, (images, sentence) = made(64), inputs(80)
    assert tower(images, sentence).shape == (3, tower.tokens, tower.dim)


def test_maps_with_an_odd_side_are_padded_alike_on_all_sides():
    """The blocks that google/efficientnet-b3 lists in its configuration."""
    with torch.device("meta"):
        b3 = efficientnet(300, width_coefficient=1.2, depth_coefficient=1.4, hidden_dim=1536)
    assert b3.config.depthwise_padding == [5, 18]
    assert sides(b3.config)[-1] == 10


@torch.no_grad()
def test_what_an_image_shows_comes_through_drawn_weights():
    tower, (images, sentence) = made(), inputs()
    one, other, _ = tower(images, sentence)
    assert 0.05 < one.std() < 20.0
    assert (one - other).abs().mean() > 0.05 * one.abs().mean()


def test_groups_leave_no_statistics_of_a_batch():
    """An image has the same features alone, among others, in training and after it."""
    tower, (images, sentence) = steered(made(drop_connect_rate=0.0)), inputs()
    assert not any(isinstance(part, nn.BatchNorm2d) for part in tower.modules())
    assert not any("running" in name for name, _ in tower.named_buffers())
    with torch.no_grad():
        together = tower.train()(images, sentence)
        alone = tower.eval()(images[:1], sentence[:1])
    torch.testing.assert_close(alone, together[:1], atol=1e-5, rtol=1e-4)


def test_batch_statistics_are_kept_as_keras_keeps_them():
    tower, (images, sentence) = made(norm="batch").train(), inputs()
    norms = [part for part in tower.modules() if isinstance(part, nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.01}
    tower(images, sentence)
    assert 0.985 < norms[0].running_var.mean() < 1.1


def test_a_branch_is_dropped_whole_and_what_is_left_is_scaled():
    torch.manual_seed(1)
    branch, added = WholeBranch(0.25).train(), torch.ones(400, 2, 3, 3)
    kept = branch(added).flatten(1)
    assert torch.equal(kept.amin(dim=1), kept.amax(dim=1))
    assert sorted(set(kept[:, 0].tolist())) == pytest.approx([0.0, 4.0 / 3.0])
    assert kept.mean().item() == pytest.approx(1.0, abs=0.1)
    assert branch.eval()(added) is added


def test_later_blocks_are_dropped_more_often():
    rates = [block.projection.dropout.rate for block in made(drop_connect_rate=0.7).encoder.blocks]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
