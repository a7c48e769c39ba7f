from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from pydantic import ValidationError
from transformers import LlamaConfig, LlamaModel

from components.core.errors import ComponentError, ContractError, ParamsError, RecordError
from components.core.files import read_json, sha256_file, write_json
from components.core.train_params import PartWeights
from components.policy.bodies import Bodies
from components.policy.presets import PolicyConfig, build
from components.train.jobs import Job
from components.train.policies import build_policy
from components.train.pretrained import Pretrained, load_pretrained, read_pretrained, weights_digest

LLAMA = {"hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 4}
NONE = "0" * 64


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with weights of the trunk of oft-small."""
    root = tmp_path_factory.mktemp("weights")
    torch.manual_seed(3)
    LlamaModel(LlamaConfig(**LLAMA, vocab_size=9, pad_token_id=0)).save_pretrained(root / "llama")
    return root


def asked(params, allow_download: bool = False, **weights: PartWeights):
    return params.model_copy(update={"pretrained": weights, "allow_download": allow_download})


def test_weights_are_found_by_their_digest(llama, params):
    digest = sha256_file(llama / "llama" / "model.safetensors")
    (found,) = read_pretrained(llama, asked(params, trunk=PartWeights(path="llama", sha256=digest)))
    assert found == Pretrained("trunk", "llama", llama / "llama", digest)
    assert found.role == "pretrained.trunk"
    assert read_pretrained(llama, params) == ()


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ({"path": "none", "sha256": NONE}, ComponentError, r"none: weights of trunk: no such folder.*trunk\.path"),
        ({"path": ".", "sha256": NONE}, ComponentError, r"weights of trunk: no config\.json"),
        (
            {"path": "llama", "sha256": NONE},
            RecordError,
            r"llama: its digest is [0-9a-f]{64}, train\.pretrained\.trunk",
        ),
        ({"path": "llama"}, ParamsError, r"trunk is not pinned.*add `sha256: [0-9a-f]{64}`"),
    ],
)
def test_what_is_missing_or_other_is_said_with_part_and_place(llama, params, weights, error, message):
    with pytest.raises(error, match=message):
        read_pretrained(llama, asked(params, trunk=PartWeights(**weights)))


def test_one_place_is_named():
    for places in ({}, {"path": "a", "hub": "b/c"}):
        with pytest.raises(ValidationError, match="exactly one of path and hub"):
            PartWeights(**places)


def test_the_digest_of_several_files_is_what_sha256sum_says_of_its_own_lines(tmp_path):
    for name in ("model-00002-of-00002", "model-00001-of-00002"):
        (tmp_path / f"{name}.safetensors").write_bytes(name.encode())
    told = subprocess.run(
        "sha256sum *.safetensors | sha256sum", cwd=tmp_path, shell=True, check=True, capture_output=True, text=True
    )
    assert weights_digest(tmp_path) == told.stdout.split()[0]


def test_nothing_is_downloaded_unasked(llama, params, monkeypatch, tmp_path):
    asks = []

    def snapshot(name, **how):
        asks.append((name, how["revision"], how["local_files_only"]))
        if how["local_files_only"]:
            raise huggingface_hub.errors.LocalEntryNotFoundError("not here")
        return str(llama / "llama")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    digest = sha256_file(llama / "llama" / "model.safetensors")
    wanted = PartWeights(hub="someone/llama@main", sha256=digest)
    with pytest.raises(
        ComponentError, match=r"someone/llama@main: weights of trunk: not in the local cache.*allow_down"
    ):
        read_pretrained(tmp_path, asked(params, trunk=wanted))
    (found,) = read_pretrained(tmp_path, asked(params, True, trunk=wanted))
    assert (found.folder, found.name) == (llama / "llama", "someone/llama@main")
    assert asks == [("someone/llama", "main", True), ("someone/llama", "main", False)]


def test_what_cannot_be_fetched_is_said(params, monkeypatch, tmp_path):
    def snapshot(*_, **__):
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    with pytest.raises(ComponentError, match="a/b: weights of trunk: cannot be fetched: no network"):
        read_pretrained(tmp_path, asked(params, True, trunk=PartWeights(hub="a/b")))


def pinned(root: Path) -> Pretrained:
    return Pretrained("trunk", "llama", root / "llama", weights_digest(root / "llama"))


def test_a_job_begins_with_them_and_the_untrained_one_does_not(llama, inputs, params, tmp_path):
    some = params.model_copy(update={"preset": "oft-small"})
    given = SimpleNamespace(robots=(inputs.transforms,), start=None, pretrained=(pinned(llama),))
    theirs = LlamaModel.from_pretrained(llama / "llama").state_dict()["norm.weight"] * 0 + 1
    for steps, taken in ((3, True), (0, False)):
        torch.manual_seed(1)
        policy = build_policy(Job("one", 1, steps), given, some, tmp_path / str(steps))
        torch.manual_seed(1)
        drawn = build_policy(Job("one", 1, steps), SimpleNamespace(**vars(given) | {"pretrained": ()}), some, tmp_path)
        name = "trunk.model.layers.0.mlp.up_proj.weight"
        assert torch.equal(policy.state_dict()[name], drawn.state_dict()[name]) != taken
        assert torch.equal(policy.state_dict()["trunk.model.norm.weight"], theirs)
    report = read_json(tmp_path / "3" / "pretrained.json")["trunk"]
    assert (report["weights"], report["sha256"]) == ("llama", weights_digest(llama / "llama"))
    assert "layers.0.mlp.up_proj.weight" in report["taken"]
    assert not (tmp_path / "0").exists()


def test_robots_share_what_was_loaded(llama, inputs, narrow):
    body = inputs.transforms.embodiment
    configs = [PolicyConfig("oft-small", one, 20, 6, 4) for one in (body, narrow.dataset.embodiment)]
    policy = Bodies(configs)
    assert set(load_pretrained(policy, [pinned(llama)])) == {"trunk"}
    theirs = LlamaModel.from_pretrained(llama / "llama").state_dict()
    for one in policy.policies:
        assert torch.equal(one.trunk.model.layers[0].mlp.up_proj.weight, theirs["layers.0.mlp.up_proj.weight"])


def test_a_control_without_the_part_does_without(llama, inputs):
    policy = build("gripline-tiny", PolicyConfig("gripline-tiny", inputs.transforms.embodiment, 20, 6, 4).shape)
    assert load_pretrained(policy, [pinned(llama)], lenient=True) == {}
    with pytest.raises(ParamsError, match="no part 'trunk'"):
        load_pretrained(policy, [pinned(llama)])


def test_weights_that_cannot_be_used_are_named_as_params_name_them(inputs, tmp_path):
    write_json(tmp_path / "config.json", {"model_type": "llama"})
    (tmp_path / "model.safetensors").write_bytes(b"")
    policy = build("oft-small", PolicyConfig("oft-small", inputs.transforms.embodiment, 20, 6, 4).shape)
    with pytest.raises(ContractError, match=r"^bases/x: num_attention_heads is 32, this part has 4"):
        load_pretrained(policy, [Pretrained("trunk", "bases/x", tmp_path, NONE)])
