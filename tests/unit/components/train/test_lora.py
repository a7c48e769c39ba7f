from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from components.core.errors import ParamsError
from components.core.files import read_json, tree_manifest
from components.core.records import read_record
from components.core.train_params import Freeze, Lora
from components.policy.checkpoint import load_policy
from components.train.freezing import Freezing
from components.train.jobs import Job
from components.train.lora import add_adapters, merged
from components.train.names import beside_adapter, is_adapter, plain
from components.train.train import train_one

LORA = Lora(rank=2, alpha=4.0, match=("eyes.*.film", "eyes.camera_fixed.layers.1.conv", "head.middle"))


@pytest.fixture(scope="module")
def run(inputs, params, tmp_path_factory):
    """Checkpoints of a trained policy with adapters, and of the weights that it began from."""
    folder = tmp_path_factory.mktemp("lora")
    changed = params.model_copy(update={"lora": LORA, "weight_decay": 0.5})
    for job in (Job("seed-1", 1, 6), Job("untrained", 1, 0), Job("blind", 1, 2, blind=True)):
        train_one(job, inputs, changed, folder / job.name)
    return folder


def test_the_policy_is_the_base_and_what_the_adapters_say(run):
    trained, base = (load_policy(run / name)[0].state_dict() for name in ("seed-1", "untrained"))
    config, tensors = read_json(run / "seed-1/adapter.json"), load_file(run / "seed-1/adapter.safetensors")
    assert (config["rank"], config["alpha"]) == (2, 4.0)
    for layer in config["layers"]:
        a, b = tensors[f"{layer}.lora_A.weight"], tensors[f"{layer}.lora_B.weight"]
        assert b.abs().max() > 0
        change = torch.einsum("or...,ri...->oi...", b, a) * 4.0 / 2
        torch.testing.assert_close(trained[f"{layer}.weight"], base[f"{layer}.weight"] + change, atol=1e-7, rtol=1e-5)
        assert torch.equal(trained[f"{layer}.bias"], base[f"{layer}.bias"])
    beside = {f"{layer}.{kind}" for layer in config["layers"] for kind in ("weight", "bias")}
    # What no pattern covers trains whole.
    assert not any(torch.equal(trained[name], base[name]) for name in base.keys() - beside)
    assert 0 < read_record(run / "seed-1", "checkpoint").counts["trainable_share_from_step_0"] < 1


def test_a_policy_without_the_layers_has_no_adapters_there(run):
    assert read_json(run / "blind/adapter.json")["layers"] == ["head.middle"]


def test_base_weights_keep_their_bytes_while_adapters_train():
    torch.manual_seed(3)
    policy = add_adapters(_Net(), Lora(rank=2, match=("conv", "body.0")))
    before = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
    alone = type("Alone", (), {"world_size": 1, "global_step": 0})()
    callback = Freezing(policy, [], 1)
    callback.setup(alone, None, "fit")
    callback.on_train_batch_start(alone, None, None, 0)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=0.1, weight_decay=0.5, fused=True)
    for _ in range(2):
        optimizer.zero_grad()
        policy(torch.randn(4, 3, 8, 8)).square().sum().backward()
        callback.on_before_optimizer_step(alone, None, optimizer)
        optimizer.step()
    after = policy.state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {name for name in before if beside_adapter(name)}
    assert {plain(name) for name in same} == {"conv.weight", "conv.bias", "body.0.weight", "body.0.bias"}
    assert sum(map(is_adapter, after)) == 4


def test_merging_changes_names_and_not_what_is_answered():
    torch.manual_seed(3)
    plain_names = list(_Net().state_dict())
    policy = add_adapters(_Net(), Lora(rank=2, match=("*",)))
    for name, parameter in policy.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    seen = torch.randn(4, 3, 8, 8)
    whole = merged(policy)
    assert list(whole.state_dict()) == plain_names
    assert all(parameter.requires_grad for parameter in whole.parameters())
    torch.testing.assert_close(whole(seen), policy(seen), atol=1e-5, rtol=1e-5)
    # The policy that trains is not touched.
    assert any("lora_A" in name for name in policy.state_dict())


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.LayerNorm(4)
        self.body = nn.Sequential(nn.Linear(4, 5), nn.ReLU())
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, images):
        seen = self.norm(self.conv(images).flatten(2).transpose(1, 2))
        return self.body(self.attention(seen, seen, seen)[0].mean(1))


def test_patterns_without_a_layer_are_refused():
    for pattern, near in (("haed.*", "body.0"), ("norm", "conv"), ("attention.out_proj", "conv")):
        with pytest.raises(ParamsError, match=rf"train.lora.match: '{pattern}' matches no Linear or Conv2d.*{near}"):
            add_adapters(_Net(), Lora(rank=2, match=(pattern,)))
    with pytest.raises(ValueError, match="rank and match are given together"):
        Lora(rank=2)


def test_freezing_everything_leaves_the_adapters(inputs, params, tmp_path):
    changed = params.model_copy(update={"lora": LORA, "freeze": (Freeze(match="*"),)})
    for job in (Job("seed-1", 1, 3), Job("untrained", 1, 0)):
        train_one(job, inputs, changed, tmp_path / job.name)
    trained, base = (load_policy(tmp_path / name)[0].state_dict() for name in ("seed-1", "untrained"))
    moved = {name for name in base if not torch.equal(trained[name], base[name])}
    assert moved == {f"{layer}.weight" for layer in read_json(tmp_path / "seed-1/adapter.json")["layers"]}


def test_the_same_job_gives_the_same_bytes(inputs, params, tmp_path):
    changed = params.model_copy(update={"lora": LORA, "freeze": (Freeze(match="language.*", until_step=1),)})
    for name in ("one", "two"):
        torch.manual_seed(999)
        train_one(Job("seed-1", 1, 3), inputs, changed, tmp_path / name)
    assert tree_manifest(tmp_path / "one") == tree_manifest(tmp_path / "two")
