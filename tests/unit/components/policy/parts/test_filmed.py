from __future__ import annotations

import pytest
import torch
from transformers import ViTConfig, ViTModel

from components.core.errors import ContractError
from components.core.spec import SAWYER_CELL
from components.policy.parts.filmed import FilmedPatchTower
from components.policy.parts.segments import Segment
from components.policy.parts.towers import HALF
from components.policy.recipes import prismatic
from components.policy.shape import Shape

SHAPE = Shape(SAWYER_CELL, 9, 6, 4)


def both():
    """The eyes without and with FiLM, of the same weights and with FiLM at rest."""
    torch.manual_seed(1)
    plain = prismatic.fused_tower(prismatic.SMALL, SHAPE).eval()
    filmed = prismatic.fused_tower(prismatic.SMALL, SHAPE, film=True).eval()
    filmed.load_state_dict(plain.state_dict(), strict=False)
    with torch.no_grad():
        for name, weight in filmed.named_parameters():
            if ".films." in name:
                weight.zero_()
    return plain, filmed


def images():
    return torch.randint(0, 256, (2, 96, 96, 3), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)


def test_film_at_rest_is_the_tower_without_it():
    plain, filmed = both()
    with torch.no_grad():
        torch.testing.assert_close(filmed(images(), torch.ones(2, 192)), plain(images()), atol=1e-5, rtol=1e-5)
    assert filmed.text_dim == 192


@pytest.mark.parametrize("tower", [0, 1], ids=["dinov2", "siglip"])
def test_every_block_of_both_is_conditioned(tower):
    _, filmed = both()
    films = filmed.towers[tower].films
    assert len(films) == 3
    with torch.no_grad():
        before = filmed(images(), torch.ones(2, 192))
        for film in films:
            film.scale.bias.fill_(0.5)
            after = filmed(images(), torch.ones(2, 192))
            half = slice(128 * tower, 128 * (tower + 1))
            assert (after - before)[..., half].abs().max() > 1e-3
            before = after


def test_only_the_row_of_a_sentence_changes():
    torch.manual_seed(1)
    filmed = prismatic.fused_tower(prismatic.SMALL, SHAPE, film=True).eval()
    sentences = torch.zeros(2, 192)
    with torch.no_grad():
        before, after = filmed(images(), sentences), filmed(images(), sentences + torch.tensor([[1.0], [0.0]]))
    assert (after[0] - before[0]).abs().max() > 1e-3
    torch.testing.assert_close(after[1], before[1])


def test_a_vision_transformer_it_does_not_know_is_refused():
    config = ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32)
    with pytest.raises(ContractError, match="ViTModel has blocks that FiLM has no place in"):
        FilmedPatchTower(ViTModel(config), 8, scale=HALF)


def test_the_mean_of_a_segment_leaves_padding_out():
    embeds = torch.tensor([[[1.0], [3.0], [9.0]], [[5.0], [7.0], [9.0]]])
    seen = torch.tensor([[True, True, False], [False, False, False]])
    assert Segment("text", embeds, seen).mean().tolist() == [[2.0], [0.0]]
