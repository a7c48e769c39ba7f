"""The names of timm's vision transformers, proved by what they compute."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel, SiglipVisionConfig, SiglipVisionModel

from components.policy.foreign import vit
from components.policy.foreign.rules import Table
from components.policy.foreign.translate import to_ours, to_theirs

WIDTH, HEADS, LAYERS, FEED, PX, PATCH = 16, 2, 3, 32, 28, 14
PLACES = (PX // PATCH) ** 2
SIZES = {"hidden_size": WIDTH, "num_attention_heads": HEADS, "image_size": PX, "patch_size": PATCH}


def timm_weights(*, dino: bool) -> dict[str, Tensor]:
    """As timm 0.9.16 names them, one block more than ours has."""
    generator = torch.Generator().manual_seed(1)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator) * 0.3

    made = {
        "pos_embed": drawn(1, PLACES, WIDTH),
        "patch_embed.proj.weight": drawn(WIDTH, 3, PATCH, PATCH),
        "patch_embed.proj.bias": drawn(WIDTH),
        "norm.weight": drawn(WIDTH),
        "norm.bias": drawn(WIDTH),
    }
    if dino:
        made |= {"cls_token": drawn(1, 1, WIDTH), "reg_token": drawn(1, 4, WIDTH)}
    else:
        made |= {"attn_pool.latent": drawn(1, 1, WIDTH), "attn_pool.mlp.fc1.weight": drawn(FEED, WIDTH)}
    for layer in range(LAYERS + 1):
        block = f"blocks.{layer}"
        for name, out, into in (
            ("attn.qkv", 3 * WIDTH, WIDTH),
            ("attn.proj", WIDTH, WIDTH),
            ("mlp.fc1", FEED, WIDTH),
            ("mlp.fc2", WIDTH, FEED),
        ):
            made |= {f"{block}.{name}.weight": drawn(out, into), f"{block}.{name}.bias": drawn(out)}
        for number in (1, 2):
            made |= {f"{block}.norm{number}.weight": drawn(WIDTH), f"{block}.norm{number}.bias": drawn(WIDTH)}
            if dino:
                made[f"{block}.ls{number}.gamma"] = drawn(WIDTH)
    return made


def timm_features(weights: dict[str, Tensor], pixels: Tensor, *, dino: bool) -> Tensor:
    """What comes out of block `LAYERS` - 1: the last but one of timm's."""
    hidden = functional.conv2d(
        pixels, weights["patch_embed.proj.weight"], weights["patch_embed.proj.bias"], stride=PATCH
    )
    hidden = hidden.flatten(2).transpose(1, 2) + weights["pos_embed"]
    if dino:
        # Class and registers come before the patches and have no places of their own.
        before = [weights[name].expand(len(pixels), -1, -1) for name in ("cls_token", "reg_token")]
        hidden = torch.cat([*before, hidden], 1)

    def linear(features: Tensor, name: str) -> Tensor:
        return functional.linear(features, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(features: Tensor, name: str) -> Tensor:
        return functional.layer_norm(features, (WIDTH,), weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-6)

    for layer in range(LAYERS):
        block = f"blocks.{layer}"
        scales = [weights[f"{block}.ls{number}.gamma"] if dino else 1.0 for number in (1, 2)]
        query, key, value = (
            part.unflatten(2, (HEADS, -1)).transpose(1, 2)
            for part in linear(norm(hidden, f"{block}.norm1"), f"{block}.attn.qkv").chunk(3, dim=2)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        hidden = hidden + scales[0] * linear(mixed, f"{block}.attn.proj")
        fed = linear(norm(hidden, f"{block}.norm2"), f"{block}.mlp.fc1")
        fed = functional.gelu(fed, approximate="none" if dino else "tanh")
        hidden = hidden + scales[1] * linear(fed, f"{block}.mlp.fc2")
    return hidden


def model_of(*, dino: bool) -> torch.nn.Module:
    if dino:
        made = Dinov2WithRegistersModel(
            Dinov2WithRegistersConfig(num_hidden_layers=LAYERS, mlp_ratio=2, num_register_tokens=4, **SIZES)
        )
        made.layernorm, made.embeddings.mask_token = torch.nn.Identity(), None
        return made.eval()
    made = SiglipVisionModel(
        SiglipVisionConfig(num_hidden_layers=LAYERS, intermediate_size=FEED, vision_use_head=False, **SIZES)
    )
    made.post_layernorm = torch.nn.Identity()
    return made.eval()


@pytest.mark.parametrize("dino", [True, False])
def test_the_same_features(dino: bool) -> None:
    theirs = {f"eye.{name}": tensor for name, tensor in timm_weights(dino=dino).items()}
    model = model_of(dino=dino)
    table: Table = (vit.dino if dino else vit.siglip)("eye", "ours", LAYERS)
    expected = {f"ours.{name}": tensor for name, tensor in model.state_dict().items()}
    made, report = to_ours(theirs, expected, table)
    report.require_fit("timm")
    assert all(name.startswith(("eye.blocks.3.", "eye.norm.", "eye.attn_pool.")) for name in report.left_out)
    model.load_state_dict({name.removeprefix("ours."): tensor for name, tensor in made.items()})
    pixels = torch.randn(2, 3, PX, PX, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        ours = model(pixel_values=pixels).last_hidden_state
    wanted = timm_features({name.removeprefix("eye."): one for name, one in theirs.items()}, pixels, dino=dino)
    assert float(wanted.abs().max()) > 1.0
    torch.testing.assert_close(ours, wanted, atol=1e-4, rtol=1e-4)


def test_the_last_block_alone_may_be_left_out() -> None:
    theirs = {f"eye.{name}": tensor for name, tensor in timm_weights(dino=True).items()}
    table = vit.dino("eye", "ours", LAYERS - 1)
    model = model_of(dino=True)
    expected = {
        f"ours.{name}": tensor for name, tensor in model.state_dict().items() if not name.startswith("encoder.layer.2")
    }
    _, report = to_ours(theirs, expected, table)
    assert {name.split(".")[2] for name in report.unknown} == {"3"}


def test_openvla_calls_the_scales_of_layers_otherwise() -> None:
    table = vit.dino("eye", "ours", LAYERS)
    gamma = {"eye.blocks.0.ls1.scale_factor": torch.ones(2)}
    made, _ = to_ours(gamma, {"ours.encoder.layer.0.layer_scale1.lambda1": torch.ones(2)}, table)
    assert list(made) == ["ours.encoder.layer.0.layer_scale1.lambda1"]
    assert list(to_theirs(made, {}, table)[0]) == list(gamma)
