"""ACT of LeRobot, there and back, and what cannot be brought."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from published_names import write
from safetensors.torch import load_file
from torch import nn

from components.core.errors import ContractError, InputError, UsageError
from components.core.spec import SAWYER_CELL
from components.policy.checkpoint import load_policy
from components.policy.foreign.catalogue import directory, recognise
from components.policy.foreign.exporting import export
from components.policy.foreign.importing import bring, described, plan
from components.policy.foreign.numbers import ACTION, STATE
from components.transforms.steps import WordTokens

STATS = {
    STATE: {"mean": np.zeros(4), "std": np.ones(4), "min": np.full(4, -3.0), "max": np.full(4, 5.0)},
    ACTION: {"mean": np.full(4, 0.1), "std": np.full(4, 0.25), "min": np.full(4, -1.0), "max": np.ones(4)},
}


def changed(folder: Path, **settings: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def test_there_and_back_is_the_same_policy(ours: Path, theirs: Path, policy: nn.Module, tokens: WordTokens) -> None:
    made = plan(directory(theirs), "act-small", SAWYER_CELL, tokens)
    assert made.report.left_out == {
        "model.vae_encoder_pos_enc": "a table that follows from the sizes, and is made here"
    }
    assert not made.report.fresh
    brought = bring(made, tokens, STATS)
    for name, tensor in policy.state_dict().items():
        torch.testing.assert_close(brought.policy.state_dict()[name], tensor, atol=1e-6, rtol=1e-6)


def test_the_table_of_positions_is_written_for_them(theirs: Path, policy: nn.Module) -> None:
    written = load_file(theirs / "model.safetensors")["model.vae_encoder_pos_enc"]
    assert torch.equal(written[0], policy.get_buffer("latent_encoder.positions"))


def test_actions_by_mean_and_deviation_are_the_same_physical_actions(
    theirs: Path, policy: nn.Module, tokens: WordTokens, observation: tuple[torch.Tensor, ...]
) -> None:
    changed(theirs, normalization_mapping={"VISUAL": "MEAN_STD", "STATE": "MEAN_STD", "ACTION": "MEAN_STD"})
    brought = bring(plan(directory(theirs), "act-small", SAWYER_CELL, tokens), tokens, STATS)
    with torch.no_grad():
        answered, before = brought.policy(*observation), policy(*observation)
    physical = before.numpy() * 0.25 + 0.1
    assert np.abs(physical).max() < 1.0
    np.testing.assert_allclose(brought.transforms.outputs(answered.numpy()), physical, atol=1e-5)
    assert any("carried over" in note for note in brought.notes)


def test_states_by_their_range_are_the_same_numbers(theirs: Path, tokens: WordTokens) -> None:
    changed(theirs, normalization_mapping={"STATE": "MIN_MAX", "ACTION": "MIN_MAX"})
    state = bring(plan(directory(theirs), "act-small", SAWYER_CELL, tokens), tokens, STATS).transforms.state
    # Beyond the range too, where LeRobot cuts nothing.
    np.testing.assert_allclose(state.apply(np.array([[-3.0, 5.0, 1.0, 9.0]])), [[-1.0, 1.0, 0.0, 2.0]])


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"n_decoder_layers": 7}, "n_decoder_layers is 7"),
        ({"vision_backbone": "resnet50", "pre_norm": True}, "vision_backbone is 'resnet50'; pre_norm is True"),
        ({"input_features": {"observation.environment_state": {"type": "ENV", "shape": [2]}}}, "of an environment"),
    ],
)
def test_another_model_is_refused(theirs: Path, tokens: WordTokens, settings: dict[str, Any], wanted: str) -> None:
    changed(theirs, **settings)
    with pytest.raises(ContractError, match=wanted):
        plan(directory(theirs), "act-small", SAWYER_CELL, tokens)
    assert wanted in described(directory(theirs), recognise(directory(theirs)))["cannot be imported"]


def test_a_form_of_normalisation_that_is_not_known(theirs: Path, tokens: WordTokens) -> None:
    changed(theirs, normalization_mapping={"STATE": "QUANTILE10"})
    with pytest.raises(ContractError, match=r"normalization_mapping.STATE is 'QUANTILE10', known: MEAN_STD"):
        plan(directory(theirs), "act-small", SAWYER_CELL, tokens)


def test_another_preset_does_not_fit_and_another_family_is_refused(theirs: Path, tokens: WordTokens) -> None:
    made = plan(directory(theirs), "act", SAWYER_CELL, tokens)
    assert made.report.misshapen["head.weight"] == [[4, 512], [4, 128]]
    with pytest.raises(ContractError, match="misshapen: places is"):
        bring(made, tokens, STATS)
    with pytest.raises(ContractError, match=r"of the family act; gripline-tiny is gripline-tiny.*act, act-small"):
        plan(directory(theirs), "gripline-tiny", SAWYER_CELL, tokens)
    with pytest.raises(UsageError, match="no preset 'akt'"):
        plan(directory(theirs), "akt", SAWYER_CELL, tokens)


def test_another_robot_is_refused_by_what_differs(theirs: Path, tokens: WordTokens) -> None:
    from components.core.embodiment_files import embodiment

    with pytest.raises(ContractError, match="state has 4 numbers in the checkpoint, aloha has 14"):
        plan(directory(theirs), "act-small", embodiment("aloha"), tokens)
    changed(theirs, input_features={"observation.images.top": {"type": "VISUAL", "shape": [3, 96, 96]}})
    with pytest.raises(ContractError, match="1 cameras in the checkpoint, sawyer-cell has 2"):
        plan(directory(theirs), "act-small", SAWYER_CELL, tokens)


def test_where_it_lies_and_how_it_is_known(theirs: Path, tmp_path: Path) -> None:
    last = tmp_path / "run/checkpoints/last/pretrained_model"
    last.parent.mkdir(parents=True)
    theirs.rename(last)
    assert directory(tmp_path / "run").path == last
    assert recognise(directory(tmp_path / "run")).name == "lerobot-act"
    # Without its config.json the names are enough.
    (last / "config.json").unlink()
    assert recognise(directory(last)).name == "lerobot-act"
    with pytest.raises(InputError, match="no such folder"):
        directory(tmp_path / "nowhere")


def test_of_no_layout(tmp_path: Path) -> None:
    write(tmp_path / "model.safetensors", {"net.0.weight": torch.ones(2)})
    with pytest.raises(InputError, match=r"its 1 tensors begin with net.0.weight.*Known: lerobot-act"):
        recognise(directory(tmp_path))


def test_what_a_directory_is(theirs: Path) -> None:
    found = described(directory(theirs), recognise(directory(theirs)))
    assert found["presets"] == ["act", "act-small"]
    assert (found["chunk"], found["state"], found["action"], found["cameras"]) == (6, 4, 4, 2)
    assert found["parameters"] == sum(one.numel() for one in load_file(theirs / "model.safetensors").values())


def test_export_of_what_has_no_layout_and_onto_what_is_there(ours: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="openpi has no layout of act"):
        export(ours, "openpi", tmp_path / "out")
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="exists"):
        export(ours, "lerobot", tmp_path / "out")


def test_what_is_written_beside_the_weights(ours: Path, theirs: Path) -> None:
    stats = load_file(theirs / "policy_preprocessor_step_3_normalizer_processor.safetensors")
    state = load_policy(ours)[2].state
    np.testing.assert_allclose(stats["observation.state.mean"], state.mean)
    assert stats["action.min"].tolist() == list(SAWYER_CELL.action.low)
    assert stats["observation.images.wrist.std"].shape == (3, 1, 1)
    config = json.loads((theirs / "config.json").read_text())
    assert (config["type"], config["dim_model"], config["chunk_size"]) == ("act", 128, 6)
    assert json.loads((theirs / "policy_postprocessor.json").read_text())["steps"][0]["state_file"].startswith("policy")
    report = json.loads((theirs / "export.json").read_text())
    assert len(report["written"]) == len(load_file(theirs / "model.safetensors"))
