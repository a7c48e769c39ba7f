"""Vision transformers: timm's names against those of transformers."""

from __future__ import annotations

from components.policy.foreign.rules import ClassPlace, LeftOut, Ones, Rule, Stacked, Table, one, same

_QKV = ("q_proj", "k_proj", "v_proj")


def _block(theirs: str, ours: str, attention: str, out: str, norms: tuple[str, str]) -> tuple[Rule, ...]:
    return (
        Rule((f"{theirs}.attn.qkv.*",), tuple(f"{ours}.{attention}.{part}.*" for part in _QKV), Stacked()),
        one(f"{theirs}.attn.proj.*", f"{ours}.{attention}.{out}.*"),
        *(one(f"{theirs}.norm{number}.*", f"{ours}.{name}.*") for number, name in enumerate(norms, start=1)),
        *same(theirs, ours, (".mlp.fc1.*", ".mlp.fc2.*")),
    )


def _unused(theirs: str, layers: int) -> tuple[LeftOut, ...]:
    """Features are those of the last block but one: the last has no part in them, nor what follows it."""
    return (
        LeftOut(f"{theirs}.blocks.{layers}.**", "the last block, whose output is not looked at"),
        LeftOut(f"{theirs}.norm.*", "the norm after the last block, whose output is not looked at"),
    )


def dino(theirs: str, ours: str, layers: int) -> Table:
    """DINOv2 with registers, timm's `vit_*_reg4_dinov2` against `Dinov2WithRegistersModel` of so many `layers`.

    The scale of a layer is `gamma` in timm; OpenVLA calls it `scale_factor`, as transformers renames any gamma.
    """
    seen, block = f"{ours}.embeddings", f"{ours}.encoder.layer.*"
    scales = [
        one(f"{theirs}.blocks.*.ls{number}.{name}", f"{block}.layer_scale{number}.lambda1")
        for name in ("scale_factor", "gamma")
        for number in (1, 2)
    ]
    return Table(
        rules=(
            Rule(
                (f"{theirs}.cls_token", f"{theirs}.pos_embed"),
                (f"{seen}.cls_token", f"{seen}.position_embeddings"),
                ClassPlace(),
            ),
            one(f"{theirs}.reg_token", f"{seen}.register_tokens"),
            one(f"{theirs}.patch_embed.proj.*", f"{seen}.patch_embeddings.projection.*"),
            *_block(f"{theirs}.blocks.*", block, "attention", "o_proj", ("norm1", "norm2")),
            *scales,
        ),
        left_out=_unused(theirs, layers),
    )


def siglip(theirs: str, ours: str, layers: int) -> Table:
    """SigLIP, timm's `vit_so400m_patch14_siglip_*` against `SiglipVisionModel` of so many `layers`."""
    seen, block = f"{ours}.embeddings", f"{ours}.encoder.layers.*"
    return Table(
        rules=(
            one(f"{theirs}.pos_embed", f"{seen}.position_embedding.weight", Ones((0,))),
            one(f"{theirs}.patch_embed.proj.*", f"{seen}.patch_embedding.*"),
            *_block(f"{theirs}.blocks.*", block, "self_attn", "out_proj", ("layer_norm1", "layer_norm2")),
        ),
        left_out=(
            *_unused(theirs, layers),
            LeftOut(f"{theirs}.attn_pool.**", "pools the patches into one vector, and a policy reads the patches"),
        ),
    )
