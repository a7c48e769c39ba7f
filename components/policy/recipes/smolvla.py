"""SmolVLA."""

from __future__ import annotations

import math
from dataclasses import dataclass

from transformers import LlamaConfig, SiglipVisionConfig, SiglipVisionModel

from components.policy.action_heads.flow_interleaved import InterleavedFlow
from components.policy.action_heads.interleaved_expert import ExpertSize
from components.policy.adapters import Adapters
from components.policy.parts.masks import Rule
from components.policy.parts.policy import Parts, VlaPolicy
from components.policy.parts.prefix import PrefixDecoder
from components.policy.parts.segments import STATE, TEXT, VIEWS
from components.policy.parts.shuffle import ShuffledProjection
from components.policy.parts.state import StateToken
from components.policy.parts.towers import HALF, PatchTower
from components.policy.parts.words import TrunkWords
from components.policy.shape import Shape

_ORDER = (VIEWS, TEXT, STATE)
# Images and instruction see each other and nothing of the state, which sees them.
_RULES = (Rule(VIEWS, "full", (TEXT,)), Rule(TEXT, "full", (VIEWS,)), Rule(STATE, "full", (VIEWS, TEXT)))


@dataclass(frozen=True)
class _Size:
    """`shuffle`: patches a side that become one token; `width`, `feed`: of the language model."""

    image_px: int
    vision: dict[str, int]
    shuffle: int
    width: int
    feed: int
    expert: ExpertSize
    draws: int = 1


def published(shape: Shape, *, blind: bool = False, wordless: bool = False) -> VlaPolicy:
    """SmolVLM2-500M: SigLIP-B/16 at 512 px, 16 of the 32 layers of SmolLM2-360M; an expert of 0.75 of their width."""
    vision = {"patch_size": 16, "hidden_size": 768, "intermediate_size": 3072}
    vision |= {"num_hidden_layers": 12, "num_attention_heads": 12}
    expert = ExpertSize(width=720, feed=2048, layers=16, heads=15, shared=5, head_width=64, theta=10_000.0)
    size = _Size(image_px=512, vision=vision, shuffle=4, width=960, feed=2560, expert=expert)
    return _policy(shape, size, blind=blind, wordless=wordless)


def small(shape: Shape, *, blind: bool = False, wordless: bool = False) -> VlaPolicy:
    vision = {"patch_size": 16, "hidden_size": 128, "intermediate_size": 256}
    vision |= {"num_hidden_layers": 3, "num_attention_heads": 4}
    expert = ExpertSize(width=192, feed=384, layers=4, heads=8, shared=2, head_width=32, theta=10_000.0)
    # Whole tokens only: what remains of a side is scaled away.
    side = max(1, shape.image_px // 32) * 32
    size = _Size(image_px=side, vision=vision, shuffle=2, width=256, feed=512, expert=expert, draws=8)
    return _policy(shape, size, blind=blind, wordless=wordless)


def _policy(shape: Shape, size: _Size, *, blind: bool, wordless: bool) -> VlaPolicy:
    siglip = SiglipVisionConfig(
        image_size=size.image_px, vision_use_head=False, hidden_act="gelu_pytorch_tanh", **size.vision
    )
    tower = PatchTower(SiglipVisionModel(siglip), scale=HALF)
    expert = size.expert
    llama = LlamaConfig(
        vocab_size=shape.vocab_size,
        hidden_size=size.width,
        intermediate_size=size.feed,
        num_hidden_layers=expert.layers,
        num_attention_heads=expert.heads,
        num_key_value_heads=expert.shared,
        head_dim=expert.head_width,
        max_position_embeddings=8192,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": expert.theta},
        pad_token_id=0,
    )
    scale = math.sqrt(size.width)
    parts = Parts(
        tower=tower,
        connector=ShuffledProjection(tower.dim, size.shuffle, (size.width,), bias=False, scale=scale),
        trunk=PrefixDecoder(llama),
        head=InterleavedFlow(shape.action_dim, shape.chunk, expert, draws=size.draws),
        order=_ORDER,
        rules=_RULES,
        words=TrunkWords(scale),
        state=StateToken(shape.state_dim, size.width),
        adapters=Adapters(state=("state",), action=(), rows=("trunk.model.embed_tokens.weight",)),
    )
    return VlaPolicy(shape, parts, blind=blind, wordless=wordless)
