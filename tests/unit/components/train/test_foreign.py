"""A checkpoint of LeRobot's becomes one to begin from, beside the data it is to learn from next."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from train_world import CELL, write_dataset

from components.core.errors import ContractError, InputError, UsageError
from components.core.params import Train
from components.core.spec import SAWYER_CELL
from components.policy.checkpoint import load_policy, save_policy
from components.policy.foreign.exporting import export
from components.policy.presets import PolicyConfig
from components.train.foreign import Wanted, import_checkpoint, planned
from components.train.start import read_start
from components.transforms.chain import PolicyTransforms
from components.transforms.steps import Normalise, WordTokens


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "dataset"
    write_dataset(root)
    return root


@pytest.fixture
def wanted(tmp_path: Path) -> Wanted:
    tokens = WordTokens((), 16, wordless=True)
    config = PolicyConfig("act-small", CELL, tokens.vocab_size, tokens.length, 6)
    torch.manual_seed(0)
    state = Normalise((3.5,) * 4, (2.3,) * 4)
    save_policy(tmp_path / "ours", config.build(), config, PolicyTransforms(CELL, state, tokens))
    export(tmp_path / "ours", "lerobot", tmp_path / "theirs")
    return Wanted(tmp_path / "theirs", "act-small", CELL, tmp_path / "bases/theirs")


def test_training_begins_from_what_was_imported(wanted: Wanted, tmp_path: Path, params: Train) -> None:
    done = import_checkpoint(wanted, planned(wanted))
    assert done.value["statistics"] == "the checkpoint's own"
    start = {"path": "bases/theirs", "sha256": done.value["digest"]}
    asked = params.model_copy(update={"preset": "act-small"})
    asked = asked.model_copy(update={"start_from": params.start_from.model_copy(update=start)})
    begun = read_start(tmp_path, asked)
    assert begun is not None
    policy = PolicyConfig("act-small", CELL, 2, 16, 6).build()
    taken = begun.into(policy, CELL)
    assert not taken.fresh
    assert not taken.left_over
    assert torch.equal(policy.state_dict()["head.weight"], load_policy(wanted.out)[0].state_dict()["head.weight"])
    np.testing.assert_allclose(load_policy(wanted.out)[2].state.mean, (3.5,) * 4)


def test_reports(wanted: Wanted) -> None:
    done = import_checkpoint(wanted, planned(wanted))
    assert json.loads((wanted.out / "import.json").read_text()) == done.value | {"comparison": None}
    text = (wanted.out / "import.md").read_text()
    assert "| `head.weight` | [4, 128] | `model.action_head.weight` |" in text
    assert "| `model.vae_encoder_pos_enc` | a table that follows from the sizes" in text
    named = {source for of in done.value["taken"].values() for source in of["from"]} | set(done.value["left_out"])
    assert named == set(load_file(wanted.folder / "model.safetensors"))


def test_the_data_are_compared_and_their_words_known(wanted: Wanted, dataset: Path) -> None:
    done = import_checkpoint(with_data := replace(wanted, dataset=dataset), planned(with_data))
    assert done.comparison is not None
    # States 0 .. 7 with mean 3.5 and deviation 2.3 fit what the checkpoint was normalised by.
    assert done.comparison.features[1].feature == "observation.state"
    assert done.comparison.features[1].verdict == "fits"
    assert "hand_x" in (wanted.out / "import.md").read_text()
    assert load_policy(wanted.out)[2].tokens.vocabulary == (
        "button", "drawer", "handle", "open", "press", "pull", "the",
    )  # fmt: skip


def test_data_far_from_its_statistics_are_told_of(wanted: Wanted, dataset: Path, tmp_path: Path) -> None:
    path = wanted.folder / "policy_preprocessor_step_3_normalizer_processor.safetensors"
    save_file(load_file(path) | {"observation.state.mean": torch.full((4,), 90.0)}, path)
    asked = replace(wanted, dataset=dataset)
    found = import_checkpoint(asked, planned(asked)).comparison
    assert found is not None
    assert {one.verdict for one in found.features[1].dimensions} == {"unusable"}


def test_without_statistics_those_of_the_data(wanted: Wanted, dataset: Path) -> None:
    for path in wanted.folder.glob("*processor.safetensors"):
        path.unlink()
    with pytest.raises(InputError, match=r"no statistics"):
        import_checkpoint(wanted, planned(wanted))
    assert not wanted.out.exists()
    asked = replace(wanted, dataset=dataset)
    assert "the checkpoint has none" in import_checkpoint(asked, planned(asked)).value["statistics"]
    np.testing.assert_allclose(load_policy(wanted.out)[2].state.mean, (3.5,) * 4, atol=0.2)


def test_statistics_from_elsewhere(wanted: Wanted, tmp_path: Path) -> None:
    one = {"mean": [1.0] * 4, "std": [2.0] * 4, "min": [-1.0] * 4, "max": [1.0] * 4}
    path = tmp_path / "stats.json"
    path.write_text(json.dumps({"observation.state": one, "action": one}))
    asked = replace(wanted, statistics=path)
    import_checkpoint(asked, planned(asked))
    assert load_policy(wanted.out)[2].state.mean == (1.0,) * 4


def test_nothing_is_written_where_tensors_do_not_fit(wanted: Wanted) -> None:
    path = wanted.folder / "model.safetensors"
    tensors = load_file(path)
    strange = {name: tensor for name, tensor in tensors.items() if name != "model.action_head.bias"}
    save_file(strange | {"model.extra": torch.ones(1)}, path)
    with pytest.raises(ContractError, match=r"1 missing: head.bias; 1 unknown: model.extra"):
        import_checkpoint(wanted, planned(wanted))
    assert not wanted.out.exists()


def test_other_data_and_a_folder_that_is_there(wanted: Wanted, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"image_px is 32, expected 96"):
        planned(replace(wanted, body=SAWYER_CELL, dataset=dataset))
    with pytest.raises(ContractError, match="no episodes of other"):
        planned(replace(wanted, body=replace(CELL, name="other"), dataset=dataset))
    wanted.out.mkdir(parents=True)
    with pytest.raises(UsageError, match=r"exists. Give another --out"):
        planned(wanted)
