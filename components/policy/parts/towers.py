"""Images to features: the vision models of transformers behind one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# What SigLIP takes: bytes to [-1, 1].
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class Pixels(nn.Module):
    """Bytes to what a vision model was trained on: `px` pixels a side, (x / 255 - mean) / std by channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, px: int, scale: tuple[Sequence[float], Sequence[float]]) -> None:
        super().__init__()
        self.px = px
        for name, values in zip(("mean", "std"), scale, strict=True):
            self.register_buffer(name, torch.tensor(values, device="cpu").view(3, 1, 1) * 255.0, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """uint8 [N, px', px', 3] -> float32 [N, 3, px, px]; bilinear where px' is another number."""
        pixels = images.permute(0, 3, 1, 2).to(self.mean.dtype)
        if pixels.shape[-1] != self.px:
            pixels = functional.interpolate(pixels, (self.px, self.px), mode="bilinear", antialias=False)
        return (pixels - self.mean) / self.std


class VisionTower(nn.Module):
    """uint8 images [N, px, px, 3] to features [N, tokens, dim].

    `tokens`: how many one image gives; `text_dim`: width of the sentence that it is conditioned on, 0 for none.
    """

    dim: int
    tokens: int
    text_dim: int = 0

    def forward(self, images: Tensor, sentence: Tensor | None = None) -> Tensor:
        """`sentence`: float [N, text_dim], for towers that have a `text_dim`."""
        raise NotImplementedError


class PatchTower(VisionTower):
    """A vision transformer (SigLIP, DINOv2, ViT).

    `layer`: whose hidden states are the features, as an index; None: the last one, after its norm. `skip`: leading
    tokens that show no patch (class, registers).
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        scale: tuple[Sequence[float], Sequence[float]],
        layer: int | None = None,
        skip: int = 0,
    ) -> None:
        super().__init__()
        config = model.config
        self.model: Any = model
        self.pixels = Pixels(config.image_size, scale)
        self.layer, self.skip = layer, skip
        self.dim = int(config.hidden_size)
        self.tokens = (config.image_size // config.patch_size) ** 2

    def forward(self, images: Tensor, sentence: Tensor | None = None) -> Tensor:
        made = self.model(pixel_values=self.pixels(images), output_hidden_states=self.layer is not None)
        features = made.last_hidden_state if self.layer is None else made.hidden_states[self.layer]
        return features[:, self.skip :]


class FusedTower(VisionTower):
    """Several towers that look at the same patches, their features side by side (Karamcheti et al. 2024, Prismatic)."""

    def __init__(self, towers: Sequence[VisionTower]) -> None:
        super().__init__()
        self.towers = nn.ModuleList(towers)
        self.dim, self.tokens = sum(tower.dim for tower in towers), towers[0].tokens
        self.text_dim = towers[0].text_dim

    def forward(self, images: Tensor, sentence: Tensor | None = None) -> Tensor:
        return torch.cat([tower(images, sentence) for tower in self.towers], dim=2)
