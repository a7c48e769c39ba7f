"""How large the sizes of a family are, found by building them without any numbers in them."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import torch
from torch import nn

from components.core.errors import ContractError
from components.core.spec import SAWYER_CELL, ActionGroup, ActionSpec, Embodiment, ObservationSpec, StateGroup
from components.policy.catalogue.card import Card, Published
from components.policy.presets import build
from components.policy.shape import Shape

# What small sizes are counted for: the simulated cell, with the chunk of params.yaml and words as a dataset of it has.
CELL = Shape(SAWYER_CELL, vocab_size=32, text_len=16, chunk=8)


def shape_counted(card: Card, preset: str) -> Shape:
    """For which robot the parameters of a preset are counted: the publication's for the published size."""
    if card.published is not None and preset == card.presets[0].name:
        return shape_of(card.published)
    return CELL


def count_published(card: Card) -> int:
    """Parameters of the published size as its publication counts them."""
    if card.published is None:
        raise ContractError(f"{card.family} has no published size")
    built = count(build_on_meta(card.presets[0].name, shape_of(card.published)), card.published.uncounted)
    return built + sum(number for _, number in card.published.unbuilt)


def count(policy: nn.Module, uncounted: Sequence[str] = ()) -> int:
    """Parameters, but for those whose names match a pattern."""
    named = policy.named_parameters()
    return sum(weight.numel() for name, weight in named if not any(fnmatchcase(name, one) for one in uncounted))


def build_on_meta(preset: str, shape: Shape) -> nn.Module:
    """A policy whose tensors have shapes and no memory."""
    with torch.device("meta"):
        return build(preset, shape)


def shape_of(published: Published) -> Shape:
    """A robot as the publication's: so many cameras, numbers of state and of an action."""
    state = tuple(f"state_{number}" for number in range(published.state))
    names = tuple(f"action_{number}" for number in range(published.action))
    limits = ((-1.0,) * published.action, (1.0,) * published.action)
    cameras = tuple(f"camera_{number}" for number in range(published.cameras))
    body = Embodiment(
        "published",
        ObservationSpec(cameras, published.image_px, (StateGroup("state", state, "normalised", "state"),)),
        ActionSpec((ActionGroup("arm", names, "normalised", "joint", "absolute", *limits),), 10.0, "published"),
    )
    return Shape(body, published.vocab_size, published.text_len, published.chunk)
