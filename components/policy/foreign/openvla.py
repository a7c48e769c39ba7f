"""OpenVLA and OpenVLA-OFT, as their authors publish them for transformers: Prismatic with timm's eyes."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from components.core.errors import ContractError
from components.policy.foreign import vit
from components.policy.foreign.files import APART
from components.policy.foreign.layout import Directory, Layout, Sizes, Target, Written
from components.policy.foreign.numbers import Forms
from components.policy.foreign.rules import Fresh, LeftOut, Table, one, same
from components.policy.foreign.words import word_table
from components.policy.presets import PolicyConfig
from components.transforms.chain import PolicyTransforms
from components.transforms.quantiles import Quantiles

_DINO, _SIGLIP, _LLAMA = "vision_backbone.featurizer", "vision_backbone.fused_featurizer", "language_model"
_TOWERS, _TRUNK, _WORDS = "tower.towers.*.model.encoder", "trunk.model", "trunk.model.embed_tokens.weight"
_OUT = f"{_LLAMA}.lm_head.weight"
# Modules that OFT trains beside the model and saves in files of their own.
_OFT_HEAD, _OFT_STATE = APART
_AWAY = "its file is a pickle: bring it as {}.safetensors beside the weights, or it begins anew"


def _prismatic(target: Target) -> Table:
    """Eyes, projector and language model, which OpenVLA and OFT have in common."""
    rules, left_out, fresh = word_table(
        f"{_LLAMA}.model.embed_tokens.weight",
        _WORDS,
        target.words,
        target.expected[_WORDS].shape[0],
        whole=True,
    )
    common = Table(
        rules=(
            *(one(f"projector.fc{number + 1}.*", f"connector.layers.{2 * number}.*") for number in range(3)),
            *rules,
            *same(f"{_LLAMA}.model.", f"{_TRUNK}.", ("layers.**", "norm.weight")),
        ),
        left_out=(
            # First, so that the rule on layers does not take it.
            LeftOut(f"{_LLAMA}.model.layers.*.self_attn.rotary_emb.inv_freq", "a table that follows from the sizes"),
            *left_out,
        ),
        fresh=(Fresh("noise", "where a head that samples starts"), *fresh),
    )
    eyes = vit.dino(_DINO, "tower.towers.0.model", target.count("tower.towers.0.model.encoder.layer.*.norm1.weight"))
    other = target.count("tower.towers.1.model.encoder.layers.*.layer_norm1.weight")
    return common + eyes + vit.siglip(_SIGLIP, "tower.towers.1.model", other)


def _openvla(target: Target) -> Table:
    return _prismatic(target) + Table(rules=(one(_OUT, "head.out.weight"),))


def _oft(target: Target) -> Table:
    head, state = f"{_OFT_HEAD}.model", _OFT_STATE
    names = {
        "layer_norm1.*": "norm.*",
        "fc1.*": "first.*",
        "mlp_resnet_blocks.*.ffn.*.*": "blocks.*.*.*",
        "layer_norm2.*": "last_norm.*",
        "fc2.*": "last.*",
    }
    return _prismatic(target) + Table(
        rules=(
            *(one(f"{head}.{theirs}", f"head.mlp.{ours}") for theirs, ours in names.items()),
            one(f"{state}.fc1.*", "state.layers.0.*"),
            one(f"{state}.fc2.*", "state.layers.2.*"),
        ),
        left_out=(LeftOut(_OUT, "actions are regressed, and no word is answered"),),
        fresh=(
            Fresh("head.**", _AWAY.format(_OFT_HEAD)),
            Fresh("state.**", _AWAY.format(_OFT_STATE)),
        ),
    )


def _sizes(folder: Directory) -> Sizes:
    """One action a pass in OpenVLA. OFT's head is the same for every action: config.json has to say how many."""
    if not _is_oft(folder):
        return Sizes(1)
    if chunk := folder.config.get("num_actions_chunk"):
        last = f"{_OFT_HEAD}.model.fc2.weight"
        return Sizes(int(chunk), action=folder.shape(last)[0] if folder.has(last) else 0)
    raise ContractError(
        "nothing says how many actions it answers at once: there it is a constant of the code",
        where=str(folder.path),
        hint="Add num_actions_chunk to config.json: 8 for LIBERO, 25 for ALOHA, 5 for Bridge",
    )


def _forms(folder: Directory) -> Forms:
    return Forms("q01_q99" if _is_oft(folder) else "identity", "q01_q99")


def _is_prismatic(folder: Directory) -> bool:
    return folder.has("projector.fc1.weight", f"{_DINO}.cls_token")


def _is_oft(folder: Directory) -> bool:
    return _is_prismatic(folder) and ("num_actions_chunk" in folder.config or any(folder.path.glob(f"{_OFT_HEAD}*")))


def _refusal(folder: Directory) -> str:
    if not folder.has(f"{_SIGLIP}.pos_embed"):
        return "it has one eye, ours is of DINOv2 and SigLIP side by side"
    return ""


def _beside(_: nn.Module, config: PolicyConfig, transforms: PolicyTransforms) -> Written:
    """config.json and dataset_statistics.json, by which its code undoes the normalisation of actions."""
    limits, name = transforms.actions or config.embodiment.action, config.embodiment.name
    low, high = (np.asarray(values, float) for values in (limits.low, limits.high))
    action: dict[str, Any] = {
        "mean": ((low + high) / 2).tolist(),
        "std": ((high - low) / 2).tolist(),
        "min": low.tolist(),
        "max": high.tolist(),
        "q01": low.tolist(),
        "q99": high.tolist(),
        "mask": [True] * len(low),
    }
    stats: dict[str, Any] = {"action": action, "num_transitions": 0, "num_trajectories": 0}
    state = transforms.state
    ends = (
        (state.low, state.high)
        if isinstance(state, Quantiles)
        else (np.asarray(state.mean) - state.scale, np.asarray(state.mean) + state.scale)
    )
    stats["proprio"] = {end: np.asarray(of, float).tolist() for end, of in zip(("q01", "q99"), ends, strict=True)}
    named = {name: stats}
    settings = {
        "model_type": "openvla",
        "architectures": ["OpenVLAForActionPrediction"],
        "use_fused_vision_backbone": True,
        "vision_backbone_id": "dinosiglip-vit-so-224px",
        "llm_backbone_id": "llama2-7b-pure",
        "arch_specifier": "no-align+fused-gelu-mlp",
        "image_resize_strategy": "resize-naive",
        "norm_stats": named,
    }
    return Written({"config.json": settings, "dataset_statistics.json": named})


def _oft_beside(policy: nn.Module, config: PolicyConfig, transforms: PolicyTransforms) -> Written:
    texts = _beside(policy, config, transforms).texts
    # Theirs does not have it; it is by this that ours knows the checkpoint again.
    return Written(texts | {"config.json": texts["config.json"] | {"num_actions_chunk": config.chunk}})


_DIFFERS = (
    "images are resized whole; a checkpoint that was trained with random crops was shown the middle 90 % of an image",
    "SigLIP has the approximate GELU of transformers, timm's has the exact one",
    "instructions are words of the dataset's own vocabulary, without the sentence that was put around them",
)
_SOURCE = "openvla c8f03f4, prismatic/extern/hf/modeling_prismatic.py, with timm 0.9.16 and transformers 4.40.1"

OPENVLA = Layout(
    name="openvla",
    framework="openvla",
    family="openvla",
    source=_SOURCE,
    recognises=lambda folder: _is_prismatic(folder) and not _is_oft(folder),
    sizes=_sizes,
    forms=_forms,
    table=_openvla,
    beside=_beside,
    refusal=_refusal,
    spells=True,
    differs=_DIFFERS,
)
OFT = Layout(
    name="openvla-oft",
    framework="openvla",
    family="oft",
    source=f"{_SOURCE}; openvla-oft 213c5ff, prismatic/models/action_heads.py and projectors.py",
    recognises=_is_oft,
    sizes=_sizes,
    forms=_forms,
    table=_oft,
    beside=_oft_beside,
    refusal=_refusal,
    spells=True,
    apart=APART,
    differs=_DIFFERS,
)
