"""GR00T N1."""

from __future__ import annotations

from dataclasses import dataclass

from transformers import LlamaConfig, LlamaModel, SiglipVisionConfig, SiglipVisionModel

from components.policy.action_heads.dit import DitSize
from components.policy.action_heads.flow_dit import FlowDit
from components.policy.adapters import Adapters
from components.policy.parts.decoder import Decoder
from components.policy.parts.masks import causal
from components.policy.parts.policy import Parts, VlaPolicy
from components.policy.parts.segments import TEXT, VIEWS
from components.policy.parts.shuffle import ShuffledProjection
from components.policy.parts.towers import HALF, PatchTower
from components.policy.parts.words import TrunkWords
from components.policy.shape import Shape

_ORDER = (VIEWS, TEXT)
# Two by two patches are one token.
_SHUFFLE = 2


@dataclass(frozen=True)
class _Size:
    """`layers` of the language model: up to the one whose hidden states are read, the others are not built."""

    image_px: int
    vision: dict[str, int]
    width: int
    feed: int
    layers: int
    heads: int
    dit: DitSize
    hidden: int
    longest: int
    draws: int = 1


def published(shape: Shape, *, blind: bool = False, wordless: bool = False) -> VlaPolicy:
    """SigLIP-2 So400m/14 at 224 px, 12 of the 24 layers of SmolLM2-1.7B (Eagle-2), 16 blocks of the transformer."""
    vision = {"patch_size": 14, "hidden_size": 1152, "intermediate_size": 4304}
    vision |= {"num_hidden_layers": 27, "num_attention_heads": 16}
    dit = DitSize(heads=32, head_width=48, layers=16, out=1024, dropout=0.2)
    size = _Size(
        image_px=224, vision=vision, width=2048, feed=8192, layers=12, heads=32, dit=dit, hidden=1024, longest=1024
    )
    return _policy(shape, size, blind=blind, wordless=wordless)


def small(shape: Shape, *, blind: bool = False, wordless: bool = False) -> VlaPolicy:
    vision = {"patch_size": 16, "hidden_size": 128, "intermediate_size": 256}
    vision |= {"num_hidden_layers": 3, "num_attention_heads": 4}
    dit = DitSize(heads=4, head_width=32, layers=2, out=128)
    # Whole tokens only: what remains of a side is scaled away.
    side = max(1, shape.image_px // (16 * _SHUFFLE)) * 16 * _SHUFFLE
    size = _Size(
        image_px=side, vision=vision, width=192, feed=512, layers=4, heads=4, dit=dit, hidden=128, longest=256,
        draws=16,
    )  # fmt: skip
    return _policy(shape, size, blind=blind, wordless=wordless)


def _policy(shape: Shape, size: _Size, *, blind: bool, wordless: bool) -> VlaPolicy:
    siglip = SiglipVisionConfig(
        image_size=size.image_px, vision_use_head=False, hidden_act="gelu_pytorch_tanh", **size.vision
    )
    tower = PatchTower(SiglipVisionModel(siglip), scale=HALF)
    llama = LlamaConfig(
        vocab_size=shape.vocab_size,
        hidden_size=size.width,
        intermediate_size=size.feed,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=8192,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 130_000.0},
        pad_token_id=0,
    )
    head = FlowDit(
        size.width, shape.state_dim, shape.action_dim, shape.chunk, size.dit,
        hidden=size.hidden, longest=size.longest, draws=size.draws,
    )  # fmt: skip
    parts = Parts(
        tower=tower,
        connector=ShuffledProjection(tower.dim, _SHUFFLE, (size.width, size.width), norm=True),
        trunk=Decoder(LlamaModel(llama)),
        head=head,
        order=_ORDER,
        rules=causal(_ORDER),
        words=TrunkWords(),
        adapters=Adapters(state=(), action=(), rows=("trunk.model.embed_tokens.weight",)),
    )
    return VlaPolicy(shape, parts, blind=blind, wordless=wordless)
