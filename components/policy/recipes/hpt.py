"""HPT: a stem a sense, a trunk for all robots, a head a robot."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from components.policy.action_heads.gmm import MixtureHead
from components.policy.action_heads.head import ActionHead
from components.policy.action_heads.pooled import PooledRegression
from components.policy.adapters import Adapters, module_key
from components.policy.parts.blocks import Block, BlockTrunk
from components.policy.parts.masks import prefix
from components.policy.parts.policy import Parts, VlaPolicy
from components.policy.parts.resampler import Latents, Mlp, Resampler, sinusoids
from components.policy.parts.resnet_tower import ResNetTower
from components.policy.parts.segments import STATE, TEXT, VIEWS
from components.policy.parts.words import OwnWords
from components.policy.shape import Shape

_ORDER = (VIEWS, STATE, TEXT)
# Tokens that each stem makes.
_VIEWS, _STATE, _TEXT = 16, 16, 8
_HIDDEN = 128


@dataclass(frozen=True)
class HptSize:
    """`channels`: of the first stage of the ResNet; `dropout`: in stems and head."""

    width: int
    blocks: int
    heads: int
    channels: int = 64
    dropout: float = 0.1


XLARGE = HptSize(768, 32, 16)
# The trunk of the published HPT-Small, with narrower eyes. It sees few windows, and dropout slows it down.
SMALL = HptSize(128, 16, 8, channels=32, dropout=0.0)


class StateStem(nn.Module):
    """Every number of the state is a feature, and latents read them."""

    places: Tensor

    def __init__(self, state_dim: int, width: int, dropout: float) -> None:
        super().__init__()
        self.layers, self.latents = Mlp(1, _HIDDEN, width), Latents(width, _STATE, dropout=dropout)
        self.places = nn.Parameter(torch.randn(state_dim, width) * 0.02)

    def forward(self, state: Tensor) -> Tensor:
        """[B, S] -> [B, tokens, W]."""
        read: Tensor = self.latents(self.layers(state.unsqueeze(2)) + self.places)
        return read


def trunk_of(size: HptSize, slots: int = 0) -> BlockTrunk:
    """`slots`: tokens of the head among those of the stems."""
    return BlockTrunk(
        size.width,
        [Block(size.width, size.heads, 4 * size.width, rest=True, eps=1e-6) for _ in range(size.blocks)],
        positions=sinusoids(_VIEWS + _STATE + _TEXT + slots, size.width),
        norm=False,
    )


def published(shape: Shape, *, blind: bool = False, wordless: bool = False) -> VlaPolicy:
    head = PooledRegression(XLARGE.width, shape.chunk, shape.action_dim, dropout=XLARGE.dropout)
    return _policy(shape, XLARGE, head, blind, wordless)


def small(shape: Shape, *, blind: bool = False, wordless: bool = False) -> VlaPolicy:
    return _policy(shape, SMALL, PooledRegression(SMALL.width, shape.chunk, shape.action_dim), blind, wordless)


def small_mixture(shape: Shape, *, blind: bool = False, wordless: bool = False) -> VlaPolicy:
    return _policy(shape, SMALL, MixtureHead(SMALL.width, shape.chunk, shape.action_dim), blind, wordless)


def _policy(shape: Shape, size: HptSize, head: ActionHead, blind: bool, wordless: bool) -> VlaPolicy:
    width, tower = size.width, ResNetTower(shape.image_px, size.channels)
    cameras = tuple(map(module_key, shape.embodiment.observation.cameras))
    words = OwnWords(shape.vocab_size, shape.text_len, width, latents=Latents(width, _TEXT, dropout=size.dropout))
    parts = Parts(
        tower=tower,
        connector=Resampler(cameras, tower.tokens, tower.dim, width, _VIEWS, hidden=_HIDDEN, dropout=size.dropout),
        trunk=trunk_of(size, head.slots),
        head=head,
        order=_ORDER,
        rules=prefix(_ORDER),
        words=words,
        state=StateStem(shape.state_dim, width, size.dropout),
        # What reads the views is no camera's, but a robot's, which has them together.
        adapters=Adapters(
            state=("state", "connector.latents"),
            action=(),
            cameras=("connector.views",),
            rows=tuple(f"words.{name}" for name in OwnWords.rows),
        ),
    )
    for part in (parts.connector, parts.trunk, parts.head, parts.state, parts.words):
        _begin(part)
    return VlaPolicy(shape, parts, blind=blind, wordless=wordless)


def _begin(part: nn.Module | None) -> None:
    """Linear layers begin small, as published."""
    for module in () if part is None else part.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
