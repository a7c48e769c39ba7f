"""Our ACT is LeRobot's with the same weights: answers, loss and gradients. Needs an environment of LeRobot's."""

from __future__ import annotations

import os
import subprocess
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from components.policy.act.policy import ActPolicy
from components.policy.act.sizes import ActSize
from components.policy.attention import set_attention

LEROBOT = os.environ.get("GRIPLINE_LEROBOT_PYTHON")
pytestmark = pytest.mark.skipif(
    not LEROBOT, reason="GRIPLINE_LEROBOT_PYTHON names no Python with LeRobot: docs/lerobot.md"
)
BATCH, CAMERAS, PX, STATE, ACTION, CHUNK = 3, 2, 64, 14, 14, 10
LIMIT = 1e-4
# Without dropout: the two draw its masks in another order.
SIZE = ActSize(dropout=0.0)

# Runs in LeRobot's environment. Its torchvision looks for two operators that a build without CUDA does not declare.
PROGRAM = """
import sys
import numpy as np, torch
operators = torch.library.Library("torchvision", "FRAGMENT")
for name in ("nms", "qnms"):
    operators.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
source, out = sys.argv[1:]
given = dict(np.load(source))
tensor = lambda name: torch.from_numpy(given[name])
cameras, side = given["images"].shape[1], given["images"].shape[-1]
seen = {f"observation.images.cam{k}": PolicyFeature(FeatureType.VISUAL, (3, side, side)) for k in range(cameras)}
seen["observation.state"] = PolicyFeature(FeatureType.STATE, given["state"].shape[1:])
acts = {"action": PolicyFeature(FeatureType.ACTION, given["actions"].shape[2:])}
length = given["actions"].shape[1]
torch.manual_seed(5)
policy = ACTPolicy(ACTConfig(input_features=seen, output_features=acts, chunk_size=length, n_action_steps=length,
    dropout=0.0, pretrained_backbone_weights=None, device="cpu"))
# Scales and shifts that do something.
for name, value in policy.named_buffers():
    if "bn" in name or "downsample.1" in name:
        value.copy_(torch.rand_like(value) * 0.5 + (0.0 if name.endswith(("bias", "mean")) else 0.7))
batch = {f"observation.images.cam{k}": tensor("images")[:, k] for k in range(cameras)}
batch |= {"observation.state": tensor("state"), "action": tensor("actions"), "action_is_pad": tensor("pad")}
answer = {"predicted": policy.predict_action_chunk(batch)}
policy.train()
torch.manual_seed(9)
parts = policy.forward(batch)[1]
answer |= {"l1": torch.tensor(parts["l1_loss"]), "kl": torch.tensor(parts["kld_loss"])}
torch.manual_seed(9)
answer["loss"] = policy.forward(batch | {"action_is_pad": torch.zeros_like(batch["action_is_pad"])})[0]
answer["loss"].backward()
answer |= {f"weight/{name.removeprefix('model.')}": value for name, value in policy.state_dict().items()}
answer |= {f"grad/{name.removeprefix('model.')}": value.grad for name, value in policy.named_parameters()}
answer["parameters"] = torch.tensor(sum(value.numel() for value in policy.parameters()))
np.savez(out, **{name: value.detach().numpy() for name, value in answer.items()})
"""

# Their names, ours.
NAMES = (
    ("vae_encoder_cls_embed.weight", "latent_encoder.token"),
    ("vae_encoder_robot_state_input_proj", "latent_encoder.state"),
    ("vae_encoder_action_input_proj", "latent_encoder.action"),
    ("vae_encoder_latent_output_proj", "latent_encoder.out"),
    ("vae_encoder.layers", "latent_encoder.layers"),
    ("encoder_1d_feature_pos_embed.weight", "places"),
    ("encoder_latent_input_proj", "latent"),
    ("encoder_robot_state_input_proj", "state"),
    ("encoder_img_feat_input_proj", "see"),
    ("decoder_pos_embed.weight", "queries"),
    ("decoder.norm", "norm"),
    ("action_head", "head"),
    ("backbone", "eyes"),
    ("encoder.layers", "encoder"),
    ("decoder.layers", "decoder"),
    ("multihead_attn", "look"),
    ("self_attn", "attention"),
    ("out_proj", "out"),
    ("linear1", "feed.up"),
    ("linear2", "feed.down"),
)


def translated(theirs: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Tensors of LeRobot's ACT under our names and in our shapes."""
    ours: dict[str, torch.Tensor] = {}
    for name, array in theirs.items():
        value = torch.from_numpy(array)
        for old, new in NAMES:
            name = name.replace(old, new, 1) if name.startswith(old) or f".{old}" in name else name
        if "in_proj_" in name:
            for part, rows in zip(("query", "key", "value"), value.chunk(3), strict=True):
                ours[name.replace("in_proj_", f"{part}.")] = rows
        elif name == "see.weight":
            ours[name] = value[:, :, 0, 0]
        else:
            ours[name] = value[0] if name == "latent_encoder.token" else value
    return ours


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[ActPolicy, dict[str, torch.Tensor], dict[str, np.ndarray]]:
    """Our policy with their weights, the batch as we take it, and what they found."""
    folder, rng = tmp_path_factory.mktemp("lerobot"), np.random.default_rng(3)
    pad = np.zeros((BATCH, CHUNK), bool)
    pad[1, 6:] = True
    pixels = rng.integers(0, 256, (BATCH, CAMERAS, PX, PX, 3), dtype=np.uint8)
    mean, std = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
    given: dict[str, Any] = {
        "images": ((pixels / np.float32(255) - mean) / std).transpose(0, 1, 4, 2, 3),
        "state": rng.normal(size=(BATCH, STATE)).astype(np.float32),
        "actions": rng.normal(size=(BATCH, CHUNK, ACTION)).astype(np.float32),
        "pad": pad,
    }
    np.savez(folder / "given.npz", **given)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "cache"), "PYTHONPATH": ""}
    command = [str(LEROBOT), "-c", PROGRAM, str(folder / "given.npz"), str(folder / "found.npz")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    found = dict(np.load(folder / "found.npz"))
    batch = {name: torch.from_numpy(given[name]) for name in ("state", "actions")}
    batch |= {"images": torch.from_numpy(pixels), "mask": torch.from_numpy((~pad).astype(np.float32))}
    batch["tokens"] = torch.zeros(BATCH, 16, dtype=torch.int64)
    body: Any = SimpleNamespace(
        observation=SimpleNamespace(cameras=("a", "b"), image_px=PX, state_names=(None,) * STATE),
        action=SimpleNamespace(dim=ACTION),
    )
    policy = ActPolicy(body, vocab_size=4, text_len=16, chunk=CHUNK, blind=False, size=SIZE)
    weights = {name.removeprefix("weight/"): value for name, value in found.items() if name.startswith("weight/")}
    # Their table of positions is a buffer that they keep; ours follows from the sizes.
    kept = weights.pop("vae_encoder_pos_enc")
    torch.testing.assert_close(policy.latent_encoder.positions, torch.from_numpy(kept[0]), atol=1e-6, rtol=0)
    policy.load_state_dict(translated(weights))
    return policy, batch, found


def test_as_many_parameters(both: Any) -> None:
    policy, _, found = both
    assert sum(value.numel() for value in policy.parameters()) == found["parameters"]


@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
def test_the_same_answer(both: Any, kernel: str) -> None:
    policy, batch, found = both
    set_attention(policy, kernel)
    with torch.no_grad():
        ours = policy.eval()(batch["images"], batch["state"], batch["tokens"])
    assert np.abs(found["predicted"]).max() > 0.1
    assert np.abs(ours.numpy() - found["predicted"]).max() <= LIMIT


def test_the_same_losses(both: Any) -> None:
    policy, batch, found = both
    torch.manual_seed(9)
    parts = policy.train().training_loss(batch).parts
    # Their mean of the error is also over what lies past the end of an episode.
    assert abs(float(parts["l1"] * batch["mask"].mean()) - found["l1"]) <= LIMIT
    assert abs(float(parts["kl"]) - found["kl"]) <= LIMIT


def test_the_same_gradients(both: Any) -> None:
    policy, batch, found = both
    policy.train().zero_grad()
    torch.manual_seed(9)
    total, count, _ = policy.training_loss(batch | {"mask": torch.ones_like(batch["mask"])})
    assert abs(float((total / count).detach()) - found["loss"]) <= LIMIT
    (total / count).backward()
    theirs = {name.removeprefix("grad/"): value for name, value in found.items() if name.startswith("grad/")}
    for name, expected in translated(theirs).items():
        ours = policy.get_parameter(name).grad
        assert ours is not None, name
        assert float((ours - expected).abs().max()) <= 1e-3 * max(1e-3, float(expected.abs().max())), name
