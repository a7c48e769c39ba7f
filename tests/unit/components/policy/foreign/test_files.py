from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from published_names import write

from components.core.errors import InputError
from components.policy.foreign.exporting import write_weights
from components.policy.foreign.files import INDEX_NAME, open_weights, read_config

TENSORS = {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.ones(4, dtype=torch.bfloat16), "c": torch.ones(2)}


def test_one_file(tmp_path: Path) -> None:
    write(tmp_path / "model.safetensors", TENSORS)
    weights = open_weights(tmp_path)
    assert list(weights) == ["a.weight", "b", "c"]
    assert all(torch.equal(weights[name], tensor) for name, tensor in TENSORS.items())
    meta = weights.meta()
    assert {name: (tensor.shape, tensor.dtype) for name, tensor in meta.items()} == {
        name: (tensor.shape, tensor.dtype) for name, tensor in TENSORS.items()
    }
    assert all(tensor.is_meta for tensor in meta.values())


def test_shards_and_their_index(tmp_path: Path) -> None:
    write_weights(tmp_path, TENSORS, shard_bytes=24)
    assert sorted(path.name for path in tmp_path.glob("*.safetensors")) == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]
    weights = open_weights(tmp_path)
    assert all(torch.equal(weights[name], tensor) for name, tensor in TENSORS.items())
    assert json.loads((tmp_path / INDEX_NAME).read_text())["metadata"]["total_size"] == 24 + 8 + 8
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(InputError, match=r"model-00002-of-00002.safetensors is missing, with 2 tensors"):
        open_weights(tmp_path)


@pytest.mark.parametrize(
    ("places", "wanted"),
    [
        ({"a": "../secret.safetensors"}, r"a is said to be in '\.\./secret.safetensors', outside of the folder"),
        ({"gone": "model-1.safetensors"}, "gone is not in it, the index says so"),
        ({}, "no weight_map in it"),
    ],
)
def test_an_index_that_lies(tmp_path: Path, places: dict[str, str], wanted: str) -> None:
    write(tmp_path / "model-1.safetensors", TENSORS)
    (tmp_path / INDEX_NAME).write_text(json.dumps({"weight_map": places}))
    with pytest.raises(InputError, match=wanted):
        open_weights(tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "policy_best.ckpt", "latest.pth"])
def test_a_pickle_is_refused_unread(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"cos\nsystem\n")
    with pytest.raises(InputError, match=r"is a pickle, which can run code .*safetensors.torch.save_file"):
        open_weights(tmp_path)


@pytest.mark.parametrize("name", ["params/_METADATA", "manifest.ocdbt"])
def test_orbax_is_refused_with_the_script_that_converts_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("{}")
    with pytest.raises(InputError, match=r"an Orbax checkpoint of JAX.*examples/convert_jax_model_to_pytorch.py"):
        open_weights(tmp_path)


def test_nothing_several_and_damaged(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no weights"):
        open_weights(tmp_path)
    for name in ("one", "two"):
        write(tmp_path / f"{name}.safetensors", TENSORS)
    with pytest.raises(InputError, match=f"2 weight files and no {INDEX_NAME}"):
        open_weights(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(InputError, match="not safetensors"):
        open_weights(tmp_path)


def test_statistics_are_no_weights_and_heads_lie_apart(tmp_path: Path) -> None:
    write(tmp_path / "policy_preprocessor_step_3_normalizer_processor.safetensors", {"action.mean": torch.ones(1)})
    write(tmp_path / "weights.safetensors", TENSORS)
    write(tmp_path / "action_head.safetensors", {"module.model.fc1.bias": torch.full((2,), 7.0)})
    weights = open_weights(tmp_path)
    assert set(weights) == {*TENSORS, "action_head.model.fc1.bias"}
    assert weights["action_head.model.fc1.bias"].tolist() == [7.0, 7.0]
    assert weights.meta()["action_head.model.fc1.bias"].shape == (2,)


def test_config(tmp_path: Path) -> None:
    assert read_config(tmp_path) == {}
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(InputError, match="not a JSON object"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        read_config(tmp_path)
