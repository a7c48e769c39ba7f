"""ACT of LeRobot."""

from __future__ import annotations

from typing import Any

from torch import nn

from components.policy.foreign.layout import Directory, Layout, Sizes, Written
from components.policy.foreign.lerobot import BUFFERS, features, forms_of, is_type, processors, views
from components.policy.foreign.rules import LeftOut, Ones, Rule, Stacked, Table, one
from components.policy.presets import PolicyConfig
from components.transforms.chain import PolicyTransforms

_PARTS = ("query", "key", "value")


def _layer(theirs: str, ours: str, attentions: dict[str, str], norms: int) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    for name, called in attentions.items():
        fused = tuple(f"{ours}.{called}.{part}.*" for part in _PARTS)
        rules += [
            Rule((f"{theirs}.{name}.in_proj_*",), fused, Stacked()),
            one(f"{theirs}.{name}.out_proj.*", f"{ours}.{called}.out.*"),
        ]
    rules += [one(f"{theirs}.linear{number}.*", f"{ours}.feed.{up}.*") for number, up in ((1, "up"), (2, "down"))]
    rules += [one(f"{theirs}.norm{number}.*", f"{ours}.norm{number}.*") for number in range(1, norms + 1)]
    return tuple(rules)


_TABLE = Table(
    rules=(
        one("model.vae_encoder_cls_embed.weight", "latent_encoder.token", Ones((0,))),
        one("model.vae_encoder_robot_state_input_proj.*", "latent_encoder.state.*"),
        one("model.vae_encoder_action_input_proj.*", "latent_encoder.action.*"),
        one("model.vae_encoder_latent_output_proj.*", "latent_encoder.out.*"),
        *_layer("model.vae_encoder.layers.*", "latent_encoder.layers.*", {"self_attn": "attention"}, 2),
        one("model.backbone.conv1.weight", "eyes.conv1.weight"),
        one("model.backbone.bn1.*", "eyes.bn1.*"),
        one("model.backbone.layer*.*.conv*.weight", "eyes.layer*.*.conv*.weight"),
        one("model.backbone.layer*.*.bn*.*", "eyes.layer*.*.bn*.*"),
        one("model.backbone.layer*.*.downsample.*.*", "eyes.layer*.*.downsample.*.*"),
        one("model.encoder_img_feat_input_proj.weight", "see.weight", Ones((2, 3))),
        one("model.encoder_img_feat_input_proj.bias", "see.bias"),
        one("model.encoder_latent_input_proj.*", "latent.*"),
        one("model.encoder_robot_state_input_proj.*", "state.*"),
        one("model.encoder_1d_feature_pos_embed.weight", "places"),
        *_layer("model.encoder.layers.*", "encoder.*", {"self_attn": "attention"}, 2),
        one("model.decoder_pos_embed.weight", "queries"),
        *_layer("model.decoder.layers.*", "decoder.*", {"self_attn": "attention", "multihead_attn": "look"}, 3),
        one("model.decoder.norm.*", "norm.*"),
        one("model.action_head.*", "head.*"),
    ),
    left_out=(
        LeftOut(
            "model.vae_encoder_pos_enc",
            "a table that follows from the sizes, and is made here",
            "latent_encoder.positions",
            Ones((0,)),
        ),
        *BUFFERS,
    ),
)

# What our ACT is, and others may not be. LeRobot's names of its settings.
_FIXED = {
    "vision_backbone": "resnet18",
    "replace_final_stride_with_dilation": False,
    "pre_norm": False,
    "feedforward_activation": "relu",
    "n_decoder_layers": 1,
    "use_vae": True,
    "n_obs_steps": 1,
}


def _refusal(folder: Directory) -> str:
    found = folder.config
    other = [f"{name} is {found[name]!r}" for name, value in _FIXED.items() if name in found and found[name] != value]
    if "observation.environment_state" in found.get("input_features", {}):
        other.append("it reads the state of an environment")
    return "; ".join(other)


def _sizes(folder: Directory) -> Sizes:
    return Sizes(
        chunk=folder.shape("model.decoder_pos_embed.weight")[0],
        state=folder.shape("model.encoder_robot_state_input_proj.weight")[1],
        action=folder.shape("model.action_head.weight")[0],
        views=views(folder),
    )


def _beside(policy: nn.Module, config: PolicyConfig, transforms: PolicyTransforms) -> Written:
    size: Any = policy.size
    modes, written = processors(config, transforms, imagenet=True)
    settings = {
        "type": "act",
        **features(config),
        "normalization_mapping": modes,
        "chunk_size": config.chunk,
        "n_action_steps": config.chunk,
        "dim_model": size.width,
        "n_heads": size.heads,
        "dim_feedforward": size.feed,
        "n_encoder_layers": size.encoder_layers,
        "n_vae_encoder_layers": size.latent_layers,
        "latent_dim": size.latent,
        "dropout": size.dropout,
        "kl_weight": size.kl_weight,
        "pretrained_backbone_weights": None,
        **_FIXED,
    }
    return Written(written.texts | {"config.json": settings}, written.tensors)


LEROBOT_ACT = Layout(
    name="lerobot-act",
    framework="lerobot",
    family="act",
    source="LeRobot 0.4.4, lerobot/policies/act/modeling_act.py",
    recognises=lambda folder: (
        is_type(folder, "act")
        or (not folder.config and folder.has("model.vae_encoder_cls_embed.weight", "model.action_head.weight"))
    ),
    sizes=_sizes,
    forms=forms_of,
    table=lambda _: _TABLE,
    beside=_beside,
    refusal=_refusal,
    writers=("head",),
    readers=("latent_encoder.action",),
    differs=("images are resized to the embodiment's square of pixels, where LeRobot takes them as they are",),
)
