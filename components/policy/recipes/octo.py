"""Octo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from components.policy.action_heads.diffusion import ReadoutDiffusion
from components.policy.action_heads.schedules import DiffusionSchedule, cosine_betas
from components.policy.adapters import Adapters
from components.policy.parts.blocks import Block, BlockTrunk
from components.policy.parts.eyes import EyeByCamera, PassedOn
from components.policy.parts.masks import block_wise
from components.policy.parts.policy import Parts, VlaPolicy
from components.policy.parts.segments import SLOTS, TEXT, VIEWS
from components.policy.parts.stem import StemEye
from components.policy.parts.t5_words import T5_BASE, T5Words
from components.policy.shape import Shape

# Instruction, images, readout: each reads itself and what comes before, so that nothing reads the readout.
_ORDER = (TEXT, VIEWS, SLOTS)
_STEPS = 20


@dataclass(frozen=True)
class OctoSize:
    """The defaults are those of Octo-Base.

    `stem`: channels of the convolutions; `history`: frames that there are places for, of which one is used; `words`: of
    T5; `draws`: times and noises a window in a training step.
    """

    width: int = 768
    layers: int = 12
    heads: int = 12
    feed: int = 3072
    stem: Sequence[int] = (32, 96, 192, 384)
    embedding: int = 512
    history: int = 10
    words: dict[str, Any] = field(default_factory=lambda: dict(T5_BASE))
    draws: int = 1


OCTO_SMALL = OctoSize(width=384, heads=6, feed=1536)
# For one core.
TINY = OctoSize(
    width=192,
    layers=4,
    heads=4,
    feed=512,
    stem=(32, 64, 96, 128),
    embedding=192,
    history=1,
    words={"d_model": 128, "d_kv": 32, "d_ff": 256, "num_layers": 2, "num_heads": 4},
    draws=8,
)


def published(shape: Shape, *, blind: bool = False, wordless: bool = False) -> VlaPolicy:
    """Octo-Base."""
    return VlaPolicy(shape, _parts(shape, OctoSize()), blind=blind, wordless=wordless)


def published_small(shape: Shape, *, blind: bool = False, wordless: bool = False) -> VlaPolicy:
    """What its authors call Octo-Small."""
    return VlaPolicy(shape, _parts(shape, OCTO_SMALL), blind=blind, wordless=wordless)


def small(shape: Shape, *, blind: bool = False, wordless: bool = False) -> VlaPolicy:
    return VlaPolicy(shape, _parts(shape, TINY), blind=blind, wordless=wordless)


def _parts(shape: Shape, size: OctoSize) -> Parts:
    def eye() -> StemEye:
        return StemEye(shape.image_px, size.width, features=size.stem, embedding=size.embedding, history=size.history)

    head = ReadoutDiffusion(
        size.width,
        DiffusionSchedule(cosine_betas(_STEPS)),
        shape.chunk,
        shape.action_dim,
        steps=_STEPS,
        draws=size.draws,
    )
    blocks = [Block(size.width, size.heads, size.feed) for _ in range(size.layers)]
    return Parts(
        tower=EyeByCamera(shape.embodiment.observation.cameras, eye),
        connector=PassedOn(),
        trunk=BlockTrunk(size.width, blocks, places={TEXT: shape.text_len, SLOTS: head.slots}),
        head=head,
        order=_ORDER,
        rules=block_wise(_ORDER),
        words=T5Words(shape.vocab_size, size.width, size.words),
        adapters=Adapters(
            state=(),
            action=(),
            cameras=("tower.eyes",),
            rows=("words.encoder.embed_tokens.weight", "trunk.places.text"),
        ),
    )
