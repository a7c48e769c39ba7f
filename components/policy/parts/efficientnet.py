"""EfficientNet (Tan and Le 2019) that an instruction steers at every block: the eye of RT-1."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import EfficientNetConfig, EfficientNetModel

from components.policy.parts.film import Film
from components.policy.parts.towers import IMAGENET, Pixels, VisionTower

Norm = Literal["batch", "group"]

# Channels that are normed together; all widths are multiples of it (`depth_divisor`).
_GROUP = 8
# Keras keeps 0.99 of the old statistics; torch names the share of the new ones.
_MOMENTUM = 0.01
# Standard deviation of a standard normal that is cut at two: drawn weights are divided by it.
_CUT = 0.87962566103423978


class EfficientNetTower(VisionTower):
    """`model` with FiLM after each MBConv block, then a 1x1 convolution to `dim` channels, and FiLM once more.

    The order of things is that of `film_efficientnet` in google-research/robotics_transformer. `norm`: "batch" as
    published; "group" for batches of a few images, whose statistics say nothing, and for weights that begin from
    nothing, where frozen statistics would say nothing either.
    """

    def __init__(self, model: EfficientNetModel, text_dim: int, dim: int, *, norm: Norm = "batch") -> None:
        super().__init__()
        config = model.config
        self.dim, self.text_dim = dim, text_dim
        self.pixels = Pixels(config.image_size, IMAGENET)
        self.tokens = sides(config)[-1] ** 2
        self.embeddings, self.encoder = model.embeddings, model.encoder
        blocks: list[Any] = list(model.encoder.blocks)
        self.films = nn.ModuleList(Film(text_dim, block.projection.project_bn.num_features) for block in blocks)
        self.reduce = nn.Conv2d(config.hidden_dim, dim, 1, bias=False)
        self.last_film = Film(text_dim, dim)
        for block in blocks:
            block.projection.dropout = WholeBranch(block.projection.dropout.p)
        for part in (self.embeddings, self.encoder):
            _draw(part)
            _renorm(part, norm)
        _draw_conv(self.reduce, 1.0 / config.hidden_dim)

    def forward(self, images: Tensor, sentence: Tensor | None = None) -> Tensor:
        """[N, side * side, dim], row after row of the last map."""
        assert sentence is not None, "a tower with FiLM takes a sentence"
        features = self.embeddings(self.pixels(images))
        for block, film in zip(self.encoder.blocks, self.films, strict=True):
            features = film(block(features), sentence)
        features = self.encoder.top_activation(self.encoder.top_bn(self.encoder.top_conv(features)))
        features = self.last_film(self.reduce(features), sentence)
        return features.flatten(2).transpose(1, 2)


class WholeBranch(nn.Module):
    """Stochastic depth (Huang et al. 2016): drops what a block adds, for some images of a batch.

    Keras does this here; transformers has a dropout of single numbers in its place.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, added: Tensor) -> Tensor:
        if not self.training or not self.rate:
            return added
        kept = torch.ones(added.shape[0], 1, 1, 1, dtype=added.dtype, device=added.device)
        return added * functional.dropout(kept, self.rate)


def efficientnet(px: int, **widths: Any) -> EfficientNetModel:
    """`px`: pixels a side; padding is as Keras pads: square where a map has an odd side."""
    config = EfficientNetConfig(image_size=px, **widths)
    found = sides(config)
    halved = [number for number, (side, after) in enumerate(pairwise(found)) if after < side]
    config.depthwise_padding = [number for number in halved if found[number] % 2]
    return EfficientNetModel(config)


def sides(config: EfficientNetConfig) -> list[int]:
    """Pixels a side of the map before each MBConv block, and of the last map."""
    assert isinstance(config.image_size, int)
    found = [config.image_size // 2]
    for repeats, stride in zip(config.num_block_repeats, config.strides, strict=True):
        for number in range(math.ceil(config.depth_coefficient * repeats)):
            found.append(math.ceil(found[-1] / stride) if number == 0 else found[-1])
    return found


def _draw(module: nn.Module) -> None:
    """As EfficientNet begins; transformers draws the gains of norms around zero, and no image would come through."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            height, width = part.kernel_size
            _draw_conv(part, 2.0 * part.groups / (height * width * part.out_channels))
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.ones_(part.weight)


def _draw_conv(conv: nn.Conv2d, variance: float) -> None:
    std = math.sqrt(variance) / _CUT
    nn.init.trunc_normal_(conv.weight, std=std, a=-2.0 * std, b=2.0 * std)


def _renorm(module: nn.Module, norm: Norm) -> None:
    for owner in list(module.modules()):
        for name, part in list(owner.named_children()):
            if not isinstance(part, nn.BatchNorm2d):
                continue
            if norm == "batch":
                part.momentum = _MOMENTUM
            else:
                groups = part.num_features // _GROUP
                setattr(owner, name, nn.GroupNorm(groups, part.num_features, eps=part.eps))
