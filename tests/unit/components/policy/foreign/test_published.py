"""Layouts against the lists of names and shapes of published checkpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from published_names import count, on_meta, shapes, spelled_out

from components.core.spec import SAWYER_CELL
from components.policy.catalogue.card import Published
from components.policy.catalogue.families import PRESETS
from components.policy.catalogue.published import shape_of
from components.policy.checkpoint import save_policy
from components.policy.foreign.catalogue import LAYOUTS, directory
from components.policy.foreign.exporting import export
from components.policy.foreign.importing import bring, plan
from components.policy.foreign.layout import Layout, Target
from components.policy.foreign.translate import Report, to_ours, to_theirs
from components.policy.presets import PolicyConfig
from components.transforms.chain import PolicyTransforms
from components.transforms.quantiles import Quantiles
from components.transforms.steps import Bounds, WordTokens

PREFIX = "paligemma_with_expert."
UNUSED = f"{PREFIX}gemma_expert.lm_head.weight"
# What openvla-oft keeps in files of its own, which are pickles.
OFT_APART = {
    *spelled_out("head.mlp.{norm,first,last_norm,last}.{weight,bias}"),
    *spelled_out("head.mlp.blocks.{0..1}.{0..1}.{weight,bias}"),
    *spelled_out("state.layers.{0,2}.{weight,bias}"),
}
# List, layout, preset, (state, action, chunk), how many are left out, what is drawn.
CASES = [
    ("lerobot_act", "lerobot-act", "act", (14, 14, 100), 1, set()),
    ("lerobot_diffusion", "lerobot-diffusion", "diffusion", (2, 2, 16), 1, {"noise"}),
    ("openvla_7b", "openvla", "openvla", (7, 7, 1), 43, set()),
    ("openvla_7b", "openvla-oft", "oft", (7, 7, 8), 44, OFT_APART),
    ("openpi_pi0", "openpi-pi0", "pi0", (7, 7, 50), 1, {"noise"}),
    ("openpi_pi05", "openpi-pi05", "pi05", (7, 7, 50), 1, {"noise", "state.table.weight"}),
    ("openpi_pi0", "lerobot-pi0", "pi0", (7, 7, 50), 1, {"noise"}),
]


def target(preset: str, sizes: tuple[int, int, int]) -> Target:
    if preset not in PRESETS:
        pytest.skip(f"no preset {preset} yet")
    # The list of diffusion is of a policy with a single camera.
    cameras, px = (1, 96) if preset == "diffusion" else (2, 224)
    shape = shape_of(Published(1, "", cameras, px, *sizes))
    config = PolicyConfig(preset, shape.embodiment, 32, 16, shape.chunk)
    with torch.device("meta"):
        expected = config.build().state_dict()
    return Target(config, {name: one.to("meta") for name, one in expected.items()}, tuple((n,) for n in range(32)))


def layout(name: str) -> Layout:
    return next(one for one in LAYOUTS if one.name == name)


@pytest.mark.parametrize(("listed", "named", "preset", "sizes", "left_out", "fresh"), CASES)
def test_every_tensor_of_the_list_is_taken_or_left_out(
    listed: str, named: str, preset: str, sizes: tuple[int, int, int], left_out: int, fresh: set[str]
) -> None:
    into, prefix = target(preset, sizes), "model." if named == "lerobot-pi0" else ""
    theirs = {f"{prefix}{name}": tensor for name, tensor in on_meta(listed).items()}
    table = layout(named).table(into)
    made, report = to_ours(theirs, into.expected, table)
    report.require_fit(listed)
    assert len(report.left_out) == left_out
    assert set(report.fresh) == fresh
    assert set(made) | fresh == set(into.expected)
    _require_same_back(theirs, made, table, report)


def _require_same_back(theirs, made, table, report: Report) -> None:
    """All that was taken gets its old name and shape; a table of words is another one by then, and of two
    frames of observation one is left."""
    written, _ = to_theirs(made, {}, table)
    other = ("embed_tokens.weight", "paligemma.lm_head.weight", "cond_encoder.1.weight")
    expected = {
        name: tensor.shape
        for name, tensor in theirs.items()
        if name not in report.left_out and not name.endswith(other)
    }
    assert {name: written[name].shape for name in expected} == expected


@pytest.mark.parametrize(
    ("listed", "tensors", "parameters"),
    [
        # Half of the total_size in the index of openvla/openvla-7b, at two bytes a number.
        ("openvla_7b", 982, 15_082_474_368 // 2),
        ("openpi_pi0", 777, 3_501_372_176),
        ("openpi_pi05", 812, 3_616_757_520),
        ("lerobot_act", 234, 51_685_006),
        # With the 18 numbers of pos_grid, which is a buffer.
        ("lerobot_diffusion", 213, 262_709_026 + 18),
    ],
)
def test_sizes_of_the_lists(listed: str, tensors: int, parameters: int) -> None:
    assert (len(shapes(listed)), count(listed)) == (tensors, parameters)


def test_short_spelling() -> None:
    assert spelled_out("a.{0..1}.{b,c}") == ["a.0.b", "a.0.c", "a.1.b", "a.1.c"]
    assert spelled_out("plain") == ["plain"]


def test_layouts_have_names_of_their_own() -> None:
    names = [one.name for one in LAYOUTS]
    assert len(set(names)) == len(names)
    assert len({(one.framework, one.family) for one in LAYOUTS}) == len(LAYOUTS)


SMALL = [
    ("openvla-small", "openvla", 1),
    ("oft-small", "openvla", 4),
    ("pi0-small", "openpi", 4),
    ("pi05-small", "openpi", 4),
    ("pi0-small", "lerobot", 4),
    ("pi05-small", "lerobot", 4),
    ("diffusion-small", "lerobot", 4),
]


@pytest.mark.parametrize(("preset", "framework", "chunk"), SMALL)
def test_there_and_back(preset: str, framework: str, chunk: int, tmp_path: Path) -> None:
    """All weights come back as they were, but for words, which begin anew, and a class token's place."""
    # The small one was there before the one whose names these are.
    if preset.removesuffix("-small") not in PRESETS:
        pytest.skip(f"no preset {preset} yet")
    torch.manual_seed(0)
    tokens = WordTokens(("close", "open"), 16)
    config = PolicyConfig(preset, SAWYER_CELL, tokens.vocab_size, tokens.length, chunk)
    policy = config.build()
    state = Quantiles((-1.0,) * 4, (1.0,) * 4)
    transforms = PolicyTransforms(SAWYER_CELL, state, tokens, Bounds((-0.5,) * 4, (0.5,) * 4))
    save_policy(tmp_path / "ours", policy, config, transforms)
    export(tmp_path / "ours", framework, tmp_path / "theirs")
    made = plan(directory(tmp_path / "theirs"), preset, SAWYER_CELL, tokens)
    assert made.config.chunk == chunk
    assert made.layout.framework == framework
    made.report.require_fit(preset)
    ends = {"mean": np.zeros(4), "std": np.ones(4), "min": np.full(4, -1.0), "max": np.ones(4)}
    ends |= {"q01": ends["min"], "q99": ends["max"]}
    brought = bring(made, tokens, {"observation.state": ends, "action": ends}).policy.state_dict()
    for name, before in policy.state_dict().items():
        if name not in made.report.fresh and not name.endswith(("cls_token", "position_embeddings")):
            torch.testing.assert_close(brought[name], before, atol=1e-6, rtol=1e-6)
