"""The maps of a ResNet as features."""

from __future__ import annotations

from typing import Any, Self

from torch import Tensor, nn
from transformers import ResNetConfig, ResNetModel

from components.policy.parts.towers import IMAGENET, Pixels, VisionTower

# By how much a ResNet makes a side smaller.
_STRIDE = 32


class ResNetTower(VisionTower):
    """ResNet-18 of transformers (He et al. 2016), in the layout of microsoft/resnet-18.

    `channels`: of the first stage, 8 or more: with 4, oneDNN's gradient of a 1x1 convolution writes past its memory.

    Its batch norms keep their statistics and never take those of a batch: an image has the same features in training
    and in use, whatever else is in its batch. Their scales and shifts learn.
    """

    def __init__(self, px: int, channels: int = 64) -> None:
        super().__init__()
        sizes = [channels << stage for stage in range(4)]
        self.model: Any = ResNetModel(
            ResNetConfig(embedding_size=channels, hidden_sizes=sizes, depths=[2, 2, 2, 2], layer_type="basic")
        )
        self.pixels = Pixels(px, IMAGENET)
        self.dim, self.tokens = sizes[-1], (-(-px // _STRIDE)) ** 2
        # Without statistics, blocks that begin as the identity keep the features from growing with depth
        # (Goyal et al. 2017).
        for stage in self.model.encoder.stages:
            for block in stage.layers:
                nn.init.zeros_(block.layer[-1].normalization.weight)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, images: Tensor, sentence: Tensor | None = None) -> Tensor:
        maps: Tensor = self.model(pixel_values=self.pixels(images)).last_hidden_state
        return maps.flatten(2).transpose(1, 2)
