"""What OpenVLA and OFT say of themselves beside their names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from published_names import write

from components.core.errors import ContractError
from components.policy.foreign.catalogue import directory, recognise
from components.policy.foreign.importing import described
from components.policy.foreign.numbers import Forms

EYES = {
    "vision_backbone.featurizer.cls_token": torch.ones(1),
    "vision_backbone.fused_featurizer.pos_embed": torch.ones(1),
}
NAMES = {**EYES, "projector.fc1.weight": torch.ones(1), "language_model.model.norm.weight": torch.ones(4)}


def test_one_action_a_pass_by_quantiles_and_no_state(tmp_path: Path) -> None:
    write(tmp_path / "model.safetensors", NAMES)
    found = directory(tmp_path)
    layout = recognise(found)
    assert layout.name == "openvla"
    assert layout.sizes(found).chunk == 1
    assert layout.forms(found) == Forms("identity", "q01_q99")
    assert "cannot be imported" not in described(found, layout)


def test_oft_has_to_say_its_chunk(tmp_path: Path) -> None:
    write(tmp_path / "model.safetensors", NAMES)
    (tmp_path / "action_head--150000_checkpoint.pt").write_bytes(b"")
    layout = recognise(directory(tmp_path))
    assert layout.name == "openvla-oft"
    with pytest.raises(ContractError, match=r"how many actions it answers at once.*8 for LIBERO, 25 for ALOHA"):
        layout.sizes(directory(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"num_actions_chunk": 8}))
    write(tmp_path / "action_head.safetensors", {"module.model.fc2.weight": torch.ones(7, 2)})
    sizes = layout.sizes(directory(tmp_path))
    assert (sizes.chunk, sizes.action) == (8, 7)


def test_prismatic_with_one_eye_is_refused(tmp_path: Path) -> None:
    single = {name: tensor for name, tensor in NAMES.items() if "fused" not in name}
    write(tmp_path / "model.safetensors", single)
    found = directory(tmp_path)
    assert "one eye" in recognise(found).refusal(found)
