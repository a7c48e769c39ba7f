"""OpenVLA: a vision-language model that answers with actions as words (Kim et al. 2024)."""

from __future__ import annotations

from components.policy.action_heads.tokens import ActionTokens
from components.policy.adapters import Adapters
from components.policy.parts.masks import causal
from components.policy.parts.policy import Parts, VlaPolicy
from components.policy.parts.segments import TEXT, VIEWS
from components.policy.parts.words import TrunkWords
from components.policy.recipes import prismatic
from components.policy.recipes.prismatic import PrismaticSize
from components.policy.shape import Shape

_ORDER = (VIEWS, TEXT)


def published(shape: Shape, *, blind: bool = False, wordless: bool = False) -> VlaPolicy:
    return _built(shape, prismatic.FULL, blind=blind, wordless=wordless)


def small(shape: Shape, *, blind: bool = False, wordless: bool = False) -> VlaPolicy:
    """For one core."""
    return _built(shape, prismatic.SMALL, blind=blind, wordless=wordless)


def _built(shape: Shape, size: PrismaticSize, *, blind: bool, wordless: bool) -> VlaPolicy:
    tower, trunk = prismatic.fused_tower(size, shape), prismatic.llama(size, shape)
    parts = Parts(
        tower=tower,
        connector=prismatic.projector(size, tower),
        trunk=trunk,
        head=ActionTokens(trunk, shape.chunk, shape.action_dim, end=size.end(shape), rows=size.rows(shape)),
        order=_ORDER,
        rules=causal(_ORDER),
        words=TrunkWords(),
        # The state is not looked at, and the ids of actions are the same for every robot.
        adapters=Adapters(state=(), action=()),
    )
    return VlaPolicy(shape, parts, blind=blind, wordless=wordless)
