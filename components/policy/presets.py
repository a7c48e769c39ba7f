"""Which policies can be built, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from components.core.errors import ContractError, UsageError
from components.core.spec import Embodiment, embodiment_from_dict
from components.policy.tiny import TinyPolicy

PRESETS: dict[str, Callable[..., nn.Module]] = {"gripline-tiny": TinyPolicy}


def build(
    preset: str, embodiment: Embodiment, *, vocab_size: int, text_len: int, chunk: int, blind: bool = False
) -> nn.Module:
    """A freshly initialised policy; the weights follow from torch's global seed."""
    if preset not in PRESETS:
        raise UsageError(f"no preset {preset!r}", hint=f"Known: {', '.join(sorted(PRESETS))}")
    return PRESETS[preset](embodiment, vocab_size=vocab_size, text_len=text_len, chunk=chunk, blind=blind)


@dataclass(frozen=True)
class PolicyConfig:
    """All that is needed to build a module that the weights fit into."""

    preset: str
    embodiment: Embodiment
    vocab_size: int
    text_len: int
    chunk: int
    blind: bool = False

    def build(self) -> nn.Module:
        return build(
            self.preset,
            self.embodiment,
            vocab_size=self.vocab_size,
            text_len=self.text_len,
            chunk=self.chunk,
            blind=self.blind,
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def config_from_dict(value: dict[str, Any]) -> PolicyConfig:
    """Inverse of `PolicyConfig.as_dict`. Raises `ContractError` naming the field that is missing or unknown."""
    try:
        return PolicyConfig(**{**value, "embodiment": embodiment_from_dict(value["embodiment"])})
    except (KeyError, TypeError) as error:
        raise ContractError(f"not a policy configuration: {error}") from error
