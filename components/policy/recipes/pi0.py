"""π0."""

from __future__ import annotations

import math
from dataclasses import dataclass

from transformers import GemmaConfig, GemmaModel, SiglipVisionConfig, SiglipVisionModel

from components.policy.action_heads.expert import ExpertHead
from components.policy.adapters import Adapters
from components.policy.parts.connectors import Projection
from components.policy.parts.decoder import Decoder
from components.policy.parts.gemma import ActionExpert
from components.policy.parts.masks import prefix
from components.policy.parts.policy import Parts, VlaPolicy
from components.policy.parts.segments import STATE, TEXT, VIEWS
from components.policy.parts.state import StateWords
from components.policy.parts.towers import HALF, PatchTower
from components.policy.parts.words import TrunkWords
from components.policy.shape import Shape

# States have mean 0 and deviation 1 here, where π0.5 has them between the quantiles at -1 and 1.
_STATE_LIMIT = 3.0


@dataclass(frozen=True)
class PiSize:
    """Layers, widths and heads of SigLIP, of Gemma and of the expert, which has Gemma's layers and heads.

    `image_px`: of the tower, 0 for the robot's own. `padded`: numbers that state and actions are filled up to, 0 for
    the robot's own.
    """

    image_px: int
    patch: int
    vision_layers: int
    vision_width: int
    vision_feed: int
    vision_heads: int
    layers: int
    width: int
    feed: int
    heads: int
    head_width: int
    expert_width: int
    expert_feed: int
    padded: int
    key_heads: int = 1
    steps: int = 10
    draws: int = 1


# SigLIP So400m/14, Gemma 2B and openpi's gemma_300m.
PUBLISHED = PiSize(
    image_px=224, patch=14, vision_layers=27, vision_width=1152, vision_feed=4304, vision_heads=16,
    layers=18, width=2048, feed=16384, heads=8, head_width=256, expert_width=1024, expert_feed=4096, padded=32,
)  # fmt: skip
SMALL = PiSize(
    image_px=0, patch=16, vision_layers=3, vision_width=128, vision_feed=256, vision_heads=4,
    layers=3, width=256, feed=640, heads=4, head_width=64, expert_width=128, expert_feed=384, padded=0, draws=8,
)  # fmt: skip


def published(shape: Shape, *, blind: bool = False, wordless: bool = False) -> VlaPolicy:
    return assemble(shape, PUBLISHED, blind=blind, wordless=wordless)


def small(shape: Shape, *, blind: bool = False, wordless: bool = False) -> VlaPolicy:
    return assemble(shape, SMALL, blind=blind, wordless=wordless)


def assemble(
    shape: Shape, size: PiSize, *, adaptive: bool = False, blind: bool = False, wordless: bool = False
) -> VlaPolicy:
    """π0, or with `adaptive` π0.5: the state as words of the prefix, the time in the norms of the expert."""
    tower = PatchTower(SiglipVisionModel(_vision(size, shape)), scale=HALF)
    trunk = Decoder(GemmaModel(_gemma(size, size.width, size.feed, shape.vocab_size)))
    # It has no words, and a table of one is thrown away.
    expert = ActionExpert(_gemma(size, size.expert_width, size.expert_feed, 1), adaptive=adaptive)
    order = (VIEWS, TEXT, STATE) if adaptive else (VIEWS, TEXT)
    parts = Parts(
        tower=tower,
        connector=Projection(tower.dim, (size.width,)),
        trunk=trunk,
        head=ExpertHead(
            expert,
            shape.chunk,
            shape.action_dim,
            0 if adaptive else shape.state_dim,
            padded=size.padded,
            steps=size.steps,
            draws=size.draws,
        ),
        order=order,
        rules=prefix(order),
        # Gemma multiplies its words by the root of the width by itself; images are taken as they come.
        words=TrunkWords(),
        state=StateWords(shape.state_dim, size.width, limit=_STATE_LIMIT, scale=math.sqrt(size.width))
        if adaptive
        else None,
        adapters=Adapters(state=("state",) if adaptive else (), action=(), rows=("trunk.model.embed_tokens.weight",)),
    )
    return VlaPolicy(shape, parts, blind=blind, wordless=wordless)


def _vision(size: PiSize, shape: Shape) -> SiglipVisionConfig:
    return SiglipVisionConfig(
        image_size=size.image_px or shape.image_px,
        patch_size=size.patch,
        num_hidden_layers=size.vision_layers,
        hidden_size=size.vision_width,
        intermediate_size=size.vision_feed,
        num_attention_heads=size.vision_heads,
        vision_use_head=False,
    )


def _gemma(size: PiSize, width: int, feed: int, vocab_size: int) -> GemmaConfig:
    return GemmaConfig(
        vocab_size=vocab_size,
        hidden_size=width,
        intermediate_size=feed,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.key_heads,
        head_dim=size.head_width,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
    )
