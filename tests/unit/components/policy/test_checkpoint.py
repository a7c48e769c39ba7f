from __future__ import annotations

import dataclasses

import pytest
import torch
from safetensors.torch import load, save

from components.core.errors import ContractError, RecordError
from components.core.files import read_json, write_json
from components.policy.checkpoint import DIGEST_FILES, checkpoint_digest, load_policy, save_policy


@pytest.fixture
def saved(config, transforms, tmp_path):
    torch.manual_seed(2)
    module = config.build().eval()
    save_policy(tmp_path / "policy", module, config, transforms)
    return tmp_path / "policy", module


def _rewrite(folder, change):
    path = folder / "model.safetensors"
    weights = load(path.read_bytes())
    change(weights)
    path.write_bytes(save(weights))


def test_comes_back_as_it_was(saved, config, transforms, observations):
    folder, module = saved
    loaded, found_config, found_transforms = load_policy(folder)
    assert torch.equal(loaded(*observations), module(*observations))
    assert found_config == config
    assert found_transforms == transforms
    assert not loaded.training


def test_saving_again_gives_the_same_digest(saved, config, transforms, tmp_path):
    folder, module = saved
    channels_last = module.to(memory_format=torch.channels_last)
    assert save_policy(tmp_path / "again", channels_last, config, transforms) == checkpoint_digest(folder)


@pytest.mark.parametrize("name", DIGEST_FILES)
def test_the_digest_covers_every_file(saved, name):
    folder, _ = saved
    before = checkpoint_digest(folder)
    with (folder / name).open("ab") as stream:
        stream.write(b" ")
    assert checkpoint_digest(folder) != before


@pytest.mark.parametrize("name", DIGEST_FILES)
def test_a_missing_file_is_named(saved, name):
    folder, _ = saved
    (folder / name).unlink()
    with pytest.raises(RecordError, match=f"no {name}"):
        load_policy(folder)


def test_a_missing_tensor_is_named(saved):
    folder, _ = saved
    _rewrite(folder, lambda weights: weights.pop("head.middle.bias"))
    with pytest.raises(ContractError, match=r"tensor head\.middle\.bias is missing"):
        load_policy(folder)


def test_an_extra_tensor_is_named(saved):
    folder, _ = saved
    _rewrite(folder, lambda weights: weights.update(extra=torch.zeros(1)))
    with pytest.raises(ContractError, match="tensor extra is not part of the policy"):
        load_policy(folder)


@pytest.mark.parametrize("other", [torch.zeros(3), torch.zeros(256, dtype=torch.float64)])
def test_a_tensor_of_another_shape_or_type_is_named(saved, other):
    folder, _ = saved
    _rewrite(folder, lambda weights: weights.update({"head.middle.bias": other}))
    with pytest.raises(ContractError, match=r"tensor head\.middle\.bias is torch"):
        load_policy(folder)


def test_truncated_weights_are_refused(saved):
    folder, _ = saved
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(RecordError, match="not a checkpoint"):
        load_policy(folder)


def test_a_policy_of_another_vocabulary_is_refused(config, transforms, tmp_path):
    other = dataclasses.replace(config, vocab_size=99)
    with pytest.raises(ContractError, match="vocab_size is 9 in the transforms and 99 in the policy"):
        save_policy(tmp_path, other.build(), other, transforms)


def test_a_checkpoint_of_another_robot_is_refused(saved):
    folder, _ = saved
    value = read_json(folder / "config.json")
    value["embodiment"]["action"]["rate_hz"] = 10.0
    write_json(folder / "config.json", value)
    with pytest.raises(ContractError, match=r"rate_hz is 20\.0, expected 10\.0"):
        load_policy(folder)
