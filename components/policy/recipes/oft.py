"""OpenVLA-OFT: OpenVLA's model, with the whole chunk regressed in one pass (Kim et al. 2025)."""

from __future__ import annotations

from components.policy.action_heads.regression import SlotRegression
from components.policy.adapters import Adapters
from components.policy.parts.masks import prefix
from components.policy.parts.policy import Parts, VlaPolicy
from components.policy.parts.segments import SLOTS, STATE, TEXT, VIEWS
from components.policy.parts.state import StateToken
from components.policy.parts.words import TrunkWords
from components.policy.recipes import prismatic
from components.policy.recipes.prismatic import PrismaticSize
from components.policy.shape import Shape

_ORDER = (VIEWS, STATE, TEXT, SLOTS)


def published(shape: Shape, *, blind: bool = False, wordless: bool = False) -> VlaPolicy:
    return _built(shape, prismatic.FULL, 4096, blind=blind, wordless=wordless)


def small(shape: Shape, *, blind: bool = False, wordless: bool = False) -> VlaPolicy:
    """For one core."""
    return _built(shape, prismatic.SMALL, 256, blind=blind, wordless=wordless)


def published_plus(shape: Shape, *, blind: bool = False, wordless: bool = False) -> VlaPolicy:
    """OpenVLA-OFT+: the instruction conditions the eyes as well, as on ALOHA."""
    return _built(shape, prismatic.FULL, 4096, film=True, blind=blind, wordless=wordless)


def small_plus(shape: Shape, *, blind: bool = False, wordless: bool = False) -> VlaPolicy:
    return _built(shape, prismatic.SMALL, 256, film=True, blind=blind, wordless=wordless)


def _built(
    shape: Shape, size: PrismaticSize, head_width: int, *, film: bool = False, blind: bool, wordless: bool
) -> VlaPolicy:
    tower, trunk = prismatic.fused_tower(size, shape, film=film), prismatic.llama(size, shape)
    words = TrunkWords()
    parts = Parts(
        tower=tower,
        connector=prismatic.projector(size, tower),
        trunk=trunk,
        head=SlotRegression(size.width, shape.chunk, shape.action_dim, width=head_width),
        order=_ORDER,
        rules=prefix(_ORDER),
        words=words,
        sentence=words if film else None,
        state=StateToken(shape.state_dim, size.width, hidden=size.width),
        adapters=Adapters(state=("state",), action=(), rows=("trunk.model.embed_tokens.weight",)),
    )
    return VlaPolicy(shape, parts, blind=blind, wordless=wordless)
