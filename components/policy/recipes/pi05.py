"""π0.5: π0 with the state in words and the time in the expert's norms."""

from __future__ import annotations

from components.policy.parts.policy import VlaPolicy
from components.policy.recipes.pi0 import PUBLISHED, SMALL, assemble
from components.policy.shape import Shape


def published(shape: Shape, *, blind: bool = False, wordless: bool = False) -> VlaPolicy:
    return assemble(shape, PUBLISHED, adaptive=True, blind=blind, wordless=wordless)


def small(shape: Shape, *, blind: bool = False, wordless: bool = False) -> VlaPolicy:
    return assemble(shape, SMALL, adaptive=True, blind=blind, wordless=wordless)
