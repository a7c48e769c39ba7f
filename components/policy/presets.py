"""Which policies can be built, by name."""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass
from pkgutil import resolve_name
from typing import Any

from torch import nn

from components.core.errors import ContractError, UsageError
from components.core.spec import Embodiment, embodiment_from_dict
from components.policy.catalogue.card import Preset
from components.policy.catalogue.families import PRESETS
from components.policy.shape import Shape


def preset_of(name: str) -> Preset:
    """Raises `UsageError` for a name that is not known."""
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(sorted(PRESETS))}"
        raise UsageError(f"train.preset: no preset {name!r}", hint=hint)
    return PRESETS[name]


def build(preset: str, shape: Shape, *, blind: bool = False, wordless: bool = False) -> nn.Module:
    """A freshly initialised policy; the weights follow from torch's global seed."""
    policy: nn.Module = resolve_name(preset_of(preset).builder)(shape, blind=blind, wordless=wordless)
    return policy


@dataclass(frozen=True)
class PolicyConfig:
    """All that is needed to build a module that the weights fit into."""

    preset: str
    embodiment: Embodiment
    vocab_size: int
    text_len: int
    chunk: int
    blind: bool = False
    # Checkpoints from before there was such a policy do not have the field.
    wordless: bool = False

    @property
    def shape(self) -> Shape:
        return Shape(self.embodiment, self.vocab_size, self.text_len, self.chunk)

    def build(self) -> nn.Module:
        return build(self.preset, self.shape, blind=self.blind, wordless=self.wordless)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def config_from_dict(value: dict[str, Any]) -> PolicyConfig:
    """Inverse of `PolicyConfig.as_dict`. Raises `ContractError` naming the field that is missing or unknown."""
    try:
        return PolicyConfig(**{**value, "embodiment": embodiment_from_dict(value["embodiment"])})
    except (KeyError, TypeError) as error:
        raise ContractError(f"not a policy configuration: {error}") from error
