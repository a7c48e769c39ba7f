"""Which policies can be built, by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from torch import nn

from components.core.errors import ContractError, UsageError
from components.core.spec import Embodiment, embodiment_from_dict
from components.policy.act.policy import ActPolicy
from components.policy.act.sizes import FULL, SMALL
from components.policy.tiny import TinyPolicy

PRESETS: dict[str, Callable[..., nn.Module]] = {
    "gripline-tiny": TinyPolicy,
    "act": partial(ActPolicy, size=FULL),
    "act-small": partial(ActPolicy, size=SMALL),
}


@dataclass(frozen=True)
class Needs:
    """What a preset cannot do without: at least so many cameras of so many pixels a side, a state, instructions."""

    cameras: int = 1
    image_px: int = 1
    state: bool = True
    instructions: bool = True


# Below 32 pixels the maps of `vision.py` and of a ResNet are too coarse to say where a thing is.
NEEDS: dict[str, Needs] = {
    "gripline-tiny": Needs(image_px=32),
    "act": Needs(image_px=32, instructions=False),
    "act-small": Needs(image_px=32, instructions=False),
}


def needs_of(preset: str) -> Needs:
    """Raises `UsageError` for a name that is not known."""
    _require_known(preset)
    return NEEDS.get(preset, Needs())


def build(
    preset: str,
    embodiment: Embodiment,
    *,
    vocab_size: int,
    text_len: int,
    chunk: int,
    blind: bool = False,
    wordless: bool = False,
) -> nn.Module:
    """A freshly initialised policy; the weights follow from torch's global seed."""
    _require_known(preset)
    return PRESETS[preset](
        embodiment, vocab_size=vocab_size, text_len=text_len, chunk=chunk, blind=blind, wordless=wordless
    )


def _require_known(preset: str) -> None:
    if preset not in PRESETS:
        near = difflib.get_close_matches(preset, PRESETS, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(sorted(PRESETS))}"
        raise UsageError(f"train.preset: no preset {preset!r}", hint=hint)


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

    def build(self) -> nn.Module:
        return build(
            self.preset,
            self.embodiment,
            vocab_size=self.vocab_size,
            text_len=self.text_len,
            chunk=self.chunk,
            blind=self.blind,
            wordless=self.wordless,
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def config_from_dict(value: dict[str, Any]) -> PolicyConfig:
    """Inverse of `PolicyConfig.as_dict`. Raises `ContractError` naming the field that is missing or unknown."""
    try:
        return PolicyConfig(**{**value, "embodiment": embodiment_from_dict(value["embodiment"])})
    except (KeyError, TypeError) as error:
        raise ContractError(f"not a policy configuration: {error}") from error
