from __future__ import annotations

import dataclasses

import pytest
import torch

from components.core.errors import ContractError
from components.core.spec import SAWYER_CELL
from components.policy.bodies import Bodies
from components.policy.catalogue.pi0 import CARD
from components.policy.catalogue.published import build_on_meta, shape_of
from components.policy.presets import PolicyConfig, build
from components.policy.recipes.pi0 import SMALL, assemble
from components.policy.recipes.pi0_names import OPENPI_PI0, OPENPI_PI05, to_ours, to_theirs
from components.policy.shape import Shape

LAYOUTS = [("pi0", OPENPI_PI0), ("pi05", OPENPI_PI05)]
SHAPE = Shape(SAWYER_CELL, 9, 6, 4)
TINY = dataclasses.replace(
    SMALL, vision_layers=1, layers=1, vision_width=16, vision_feed=16, width=16, feed=16, expert_width=8, expert_feed=8
)
OTHER = dataclasses.replace(
    SAWYER_CELL,
    name="other",
    observation=dataclasses.replace(SAWYER_CELL.observation, state=SAWYER_CELL.observation.state[:1]),
    action=dataclasses.replace(SAWYER_CELL.action, groups=SAWYER_CELL.action.groups[:1]),
)


def tiny(layout_of: str = "pi0"):
    torch.manual_seed(1)
    return assemble(SHAPE, TINY, adaptive=layout_of == "pi05").eval()


@pytest.mark.parametrize(("preset", "layout"), LAYOUTS)
def test_the_published_size_has_the_tensors_of_openpi(preset, layout):
    policy = build_on_meta(preset, shape_of(CARD.published))
    theirs = {name: tuple(one.shape) for name, one in to_theirs(policy.state_dict(), layout).items()}
    # SigLIP, projector, Gemma, expert (which has two tensors a norm in π0.5), and the edges.
    expected = 27 * 16 + 5 + 2 + (18 * 9 + 2) + ((18 * 9 + 1 + 10) if preset == "pi0" else (18 * 11 + 2 + 8))
    assert len(theirs) == expected
    gemma, expert = "paligemma_with_expert.paligemma.model.", "paligemma_with_expert.gemma_expert.model."
    assert theirs[gemma + "vision_tower.vision_model.embeddings.patch_embedding.weight"] == (1152, 3, 14, 14)
    assert theirs[gemma + "vision_tower.vision_model.encoder.layers.26.mlp.fc1.weight"] == (4304, 1152)
    assert theirs[gemma + "multi_modal_projector.linear.weight"] == (2048, 1152)
    assert theirs[gemma + "language_model.embed_tokens.weight"] == (257152, 2048)
    assert theirs[gemma + "language_model.layers.17.self_attn.k_proj.weight"] == (256, 2048)
    assert theirs[expert + "layers.17.mlp.down_proj.weight"] == (1024, 4096)
    assert theirs["action_in_proj.weight"] == (1024, 32)
    assert theirs["action_out_proj.bias"] == (32,)
    if preset == "pi0":
        assert theirs["state_proj.weight"] == (1024, 32)
        assert theirs["action_time_mlp_in.weight"] == (1024, 2048)
        assert theirs[expert + "norm.weight"] == (1024,)
    else:
        assert theirs["time_mlp_in.weight"] == (1024, 1024)
        assert theirs[expert + "norm.dense.weight"] == (3072, 1024)
        assert theirs[expert + "layers.0.input_layernorm.dense.bias"] == (3072,)


@pytest.mark.parametrize(("preset", "layout"), LAYOUTS)
def test_weights_of_openpi_come_back_under_our_names(preset, layout):
    ours = tiny(preset).state_dict()
    theirs = to_theirs(ours, layout) | {name: torch.zeros(2) for name in layout.unread}
    found = to_ours(theirs, layout, ours)
    assert set(ours) - set(found) == ({"noise"} if preset == "pi0" else {"noise", "state.table.weight"})
    assert all(torch.equal(ours[name], tensor) for name, tensor in found.items())


def test_a_table_of_words_may_be_under_the_name_of_the_output_that_it_is_tied_to():
    ours = tiny().state_dict()
    theirs = to_theirs(ours, OPENPI_PI0)
    ((twin, table),) = OPENPI_PI0.twins
    theirs[twin] = theirs[table]
    assert set(to_ours(theirs, OPENPI_PI0, ours)) == set(ours) - {"noise"}
    del theirs[table]
    assert set(to_ours(theirs, OPENPI_PI0, ours)) == set(ours) - {"noise"}
    with pytest.raises(
        ContractError, match=r"embed_tokens.weight of openpi π0 differs from the tensor that it is tied to"
    ):
        to_ours(theirs | {table: theirs[twin] + 1.0}, OPENPI_PI0, ours)


def test_a_tensor_that_does_not_fit_is_named():
    ours = tiny().state_dict()
    theirs = to_theirs(ours, OPENPI_PI0)
    with pytest.raises(ContractError, match=r"no module of ours has vqgan.weight"):
        to_ours(theirs | {"vqgan.weight": torch.zeros(1)}, OPENPI_PI0, ours)
    with pytest.raises(ContractError, match=r"action_in_proj.gain of openpi π0 would be head.action_in.gain"):
        to_ours(theirs | {"action_in_proj.gain": torch.zeros(1)}, OPENPI_PI0, ours)
    with pytest.raises(ContractError, match=r"action_in_proj.bias of openpi π0 is \[3\], head.action_in.bias is \[8\]"):
        to_ours(theirs | {"action_in_proj.bias": torch.zeros(3)}, OPENPI_PI0, ours)
    del theirs["action_time_mlp_out.bias"]
    with pytest.raises(ContractError, match=r"lacks action_time_mlp_out.bias \(1 in all\)"):
        to_ours(theirs, OPENPI_PI0, ours)
    with pytest.raises(ContractError, match=r"the layout openpi π0.5 has no tensor for head.state_in.weight"):
        to_theirs(ours, OPENPI_PI05)


@pytest.mark.parametrize("preset", ["pi0-small", "pi05-small"])
def test_robots_share_all_but_their_edges(preset):
    torch.manual_seed(4)
    configs = [PolicyConfig(preset, body, 9, 6, 4) for body in (SAWYER_CELL, OTHER)]
    own, other = Bodies(configs).policies
    assert own.tower is other.tower
    assert own.trunk is other.trunk
    assert own.head.expert is other.head.expert
    assert own.head.time_in is other.head.time_in
    assert own.head.action_in is not other.head.action_in
    assert other.noise.shape == (1, 4, 3)
    if preset == "pi0-small":
        assert other.head.state_in.in_features == 3
    else:
        assert own.state.table.weight.shape == (4 * 256, 256)


def test_the_state_of_pi05_counts_only_by_its_bin():
    policy = tiny("pi05")
    images = torch.randint(0, 256, (1, 2, 96, 96, 3), dtype=torch.uint8)
    tokens, state = torch.ones(1, 6, dtype=torch.long), torch.full((1, 4), 0.005)
    with torch.no_grad():
        for weight in policy.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
        before = policy(images, state, tokens)
        # Bins are 6 / 256 wide here.
        assert torch.equal(policy(images, state + 0.01, tokens), before)
        assert not torch.equal(policy(images, state + 0.03, tokens), before)


def test_presets_are_of_the_size_that_their_page_says():
    for preset, millions in (("pi0-small", 3.1), ("pi05-small", 3.6)):
        found = sum(weight.numel() for weight in build(preset, SHAPE).parameters()) / 1e6
        assert found == pytest.approx(millions, abs=0.5)
