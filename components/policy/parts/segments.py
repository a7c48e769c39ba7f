"""A sequence in named pieces: what goes into a trunk, and what an action head is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from components.policy.parts.trunk import Trunk

VIEWS, TEXT, STATE, SLOTS = "views", "text", "state", "slots"

# Keys and values [B, heads, L, head width] of every layer.
KeysValues = tuple[tuple[Tensor, Tensor], ...]


@dataclass(frozen=True, eq=False)
class Segment:
    """`embeds` [B, L, W]; `seen` bool [B, L], False where there is only padding."""

    name: str
    embeds: Tensor
    seen: Tensor

    @classmethod
    def whole(cls, name: str, embeds: Tensor) -> Segment:
        """One without padding."""
        return cls(name, embeds, torch.ones(embeds.shape[:2], dtype=torch.bool, device=embeds.device))

    def mean(self) -> Tensor:
        """[B, W] over what is no padding; zeros where all is."""
        seen = self.seen.unsqueeze(2).to(self.embeds.dtype)
        return (self.embeds * seen).sum(1) / seen.sum(1).clamp(min=1.0)


@dataclass(frozen=True, eq=False)
class Context:
    """What a trunk has made of an observation.

    `segments`: what went in, with the hidden states [B, L, W] in the place of the embeddings; `state` [B, S] and
    `tokens` int64 [B, T] as they came; `cache`: of all layers, in the order of `segments`, empty where the trunk keeps
    none.
    """

    segments: tuple[Segment, ...]
    state: Tensor
    tokens: Tensor
    trunk: Trunk
    cache: KeysValues = ()

    def __getitem__(self, name: str) -> Tensor:
        """Hidden states [B, L, W] of one segment."""
        return next(one.embeds for one in self.segments if one.name == name)

    def hidden(self, names: Sequence[str] = ()) -> tuple[Tensor, Tensor]:
        """Hidden states [B, L, W] and `seen` [B, L] of the segments `names`, of all where there are none, in order."""
        chosen = [one for one in self.segments if not names or one.name in names]
        return torch.cat([one.embeds for one in chosen], 1), torch.cat([one.seen for one in chosen], 1)

    @property
    def seen(self) -> Tensor:
        """bool [B, L] of all segments."""
        return torch.cat([one.seen for one in self.segments], 1)
