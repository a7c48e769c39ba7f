from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    LlamaConfig,
    LlamaForCausalLM,
    SiglipConfig,
    SiglipModel,
    SiglipTextConfig,
    SiglipVisionConfig,
)

from components.core.errors import ContractError, ParamsError
from components.core.spec import SAWYER_CELL
from components.policy.presets import build
from components.policy.pretrained import load_part, parts_with_models
from components.policy.shape import Shape

# Sizes of oft-small.
SEEN: dict[str, Any] = {"image_size": 96, "patch_size": 16, "num_hidden_layers": 3}
SEEN |= {"num_attention_heads": 4, "hidden_size": 128}
SPOKEN: dict[str, Any] = {"hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 4}
SPOKEN |= {"num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": 50, "pad_token_id": 0}


@pytest.fixture
def policy():
    torch.manual_seed(1)
    return build("oft-small", Shape(SAWYER_CELL, 20, 8, 8))


def saved(model: Any, folder: Path) -> Path:
    # Some tensors begin at 0 or 1, where what was read cannot be told from what was drawn.
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_()
    model.save_pretrained(folder)
    return folder


def llama(folder: Path, **changed: Any) -> Path:
    return saved(LlamaForCausalLM(LlamaConfig(**SPOKEN | changed)), folder)


def state_of(policy: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in policy.state_dict().items()}


def test_every_model_of_transformers_is_a_part(policy):
    assert sorted(parts_with_models(policy)) == ["tower.towers.0", "tower.towers.1", "trunk"]
    assert parts_with_models(build("gripline-tiny", policy.shape)) == {}


def test_a_trunk_takes_all_but_the_words(policy, tmp_path):
    before, folder = state_of(policy), llama(tmp_path / "llama")
    report = load_part(policy, "trunk", folder, where="llama")
    theirs = LlamaForCausalLM.from_pretrained(folder).model.state_dict()
    for name, tensor in policy.state_dict().items():
        inner = name.removeprefix("trunk.model.")
        if name.startswith("trunk.") and inner != "embed_tokens.weight":
            assert torch.equal(tensor, theirs[inner]), name
            assert report.taken[inner] == list(tensor.shape)
        else:
            assert torch.equal(tensor, before[name]), name
    assert report.fresh == {"embed_tokens.weight": "[512, 192]: words are those of the dataset"}
    assert report.left_over == ["lm_head.weight"]
    assert report.model == "LlamaModel"


def test_words_stay_as_drawn_even_where_the_numbers_would_fit(policy, tmp_path):
    before = state_of(policy)
    load_part(policy, "trunk", llama(tmp_path, vocab_size=20), where="llama")
    assert torch.equal(
        policy.state_dict()["trunk.model.embed_tokens.weight"], before["trunk.model.embed_tokens.weight"]
    )


def test_a_tower_comes_out_of_a_whole_siglip(policy, tmp_path):
    text = SiglipTextConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=32, vocab_size=9
    )
    vision = SiglipVisionConfig(intermediate_size=256, **SEEN)
    whole = SiglipModel(SiglipConfig(text_config=text.to_dict(), vision_config=vision.to_dict()))
    report = load_part(policy, "tower.towers.1", saved(whole, tmp_path), where="siglip")
    assert report.fresh == {}
    assert {name.partition(".")[0] for name in report.left_over} == {"head", "text_model", "logit_scale", "logit_bias"}
    assert all(
        torch.equal(tensor, whole.vision_model.state_dict()[name])
        for name, tensor in policy.tower.towers[1].model.state_dict().items()
    )


def test_the_draws_of_a_training_are_those_without_weights(policy, tmp_path):
    folder = llama(tmp_path)
    torch.manual_seed(7)
    expected = torch.rand(4)
    torch.manual_seed(7)
    load_part(policy, "trunk", folder, where="llama")
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"num_hidden_layers": 2}, r"llama: trunk needs layers\.2\..* \(and 15 more\), which the weights lack"),
        ({"intermediate_size": 256}, r"mlp\.down_proj\.weight is \[192, 256\], trunk needs \[192, 512\] \(and 11 more"),
        ({"num_attention_heads": 2, "num_key_value_heads": 2}, r"num_attention_heads is 2, this part has 4"),
        ({"rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}}, r"rope_parameters is .*500000"),
    ],
)
def test_weights_of_other_sizes_change_nothing(policy, tmp_path, changed, message):
    before, folder = state_of(policy), llama(tmp_path, **changed)
    with pytest.raises(ContractError, match=message):
        load_part(policy, "trunk", folder, where="llama")
    assert all(torch.equal(tensor, before[name]) for name, tensor in policy.state_dict().items())


def test_a_deeper_model_gives_its_first_layers(policy, tmp_path):
    report = load_part(policy, "trunk", llama(tmp_path, num_hidden_layers=5), where="llama")
    assert [name for name in report.left_over if "layers.4" not in name] == ["lm_head.weight"]


def test_weights_of_another_model_are_refused(policy, tmp_path):
    dino = Dinov2WithRegistersModel(Dinov2WithRegistersConfig(mlp_ratio=2, **SEEN))
    with pytest.raises(ContractError, match="a dinov2_with_registers, this part is a llama"):
        load_part(policy, "trunk", saved(dino, tmp_path), where="dino")


def test_a_file_that_is_no_weights_is_named(policy, tmp_path):
    folder = llama(tmp_path)
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ContractError, match="llama: not weights of a LlamaModel"):
        load_part(policy, "trunk", folder, where="llama")


@pytest.mark.parametrize(
    ("part", "message"), [("trunc", r"no part 'trunc'.*Did you mean 'trunk'"), ("words", r"It has tower\.towers\.0, ")]
)
def test_a_part_that_takes_no_weights_is_refused(policy, tmp_path, part, message):
    with pytest.raises(ParamsError, match=message):
        load_part(policy, part, tmp_path, where="x")


def test_a_policy_without_such_models_says_so(tmp_path):
    shape = Shape(SAWYER_CELL, 20, 8, 8)
    with pytest.raises(ParamsError, match=r"no part 'trunk' that takes weights\. It has none"):
        load_part(build("gripline-tiny", shape), "trunk", tmp_path, where="x")
