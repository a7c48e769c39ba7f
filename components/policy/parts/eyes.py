"""One encoder a camera, as a tower."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from components.policy.adapters import module_key
from components.policy.parts.connectors import Connector
from components.policy.parts.towers import VisionTower


class EyeByCamera(VisionTower):
    """`make` builds the encoder of one camera. Named, not numbered: the same camera is the same eye on another robot.

    A policy with such a tower declares `cameras=("tower.eyes",)` among its adapters.
    """

    def __init__(self, cameras: Sequence[str], make: Callable[[], VisionTower]) -> None:
        super().__init__()
        self.keys = tuple(map(module_key, cameras))
        eyes = {key: make() for key in self.keys}
        self.eyes = nn.ModuleDict(eyes)
        self.dim, self.tokens = eyes[self.keys[0]].dim, eyes[self.keys[0]].tokens

    def forward(self, images: Tensor, sentence: Tensor | None = None) -> Tensor:
        """uint8 [B * K, px, px, 3], the cameras of an observation in their order -> [B * K, tokens, dim]."""
        views = images.unflatten(0, (-1, len(self.keys))).unbind(1)
        seen = [self.eyes[key](view) for key, view in zip(self.keys, views, strict=True)]
        return torch.stack(seen, dim=1).flatten(0, 1)


class PassedOn(Connector):
    """Features that are tokens of the trunk already."""

    def forward(self, features: Tensor) -> Tensor:
        return features.flatten(1, 2)
