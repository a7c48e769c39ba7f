"""A vision transformer that a sentence conditions block by block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn
from transformers import Dinov2WithRegistersModel, PreTrainedModel, SiglipVisionModel

from components.core.errors import ContractError
from components.policy.parts.towers import PatchTower


class Film(nn.Module):
    """x -> x (1 + scale) + shift, both linear in the sentence and the same for every patch (Perez et al. 2018)."""

    def __init__(self, text_dim: int, dim: int) -> None:
        super().__init__()
        self.scale, self.shift = nn.Linear(text_dim, dim), nn.Linear(text_dim, dim)

    def forward(self, features: Tensor, sentence: Tensor) -> Tensor:
        """features [N, L, D], sentence [N, text_dim] -> [N, L, D]."""
        return features * (1.0 + self.scale(sentence).unsqueeze(1)) + self.shift(sentence).unsqueeze(1)


class FilmedPatchTower(PatchTower):
    """A `PatchTower` with FiLM between attention and MLP of every block, as OpenVLA-OFT+ has it (Kim et al. 2025).

    The features are those of the last block of `model`, without a norm. Raises `ContractError` for a vision transformer
    whose blocks it does not know.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        text_dim: int,
        *,
        scale: tuple[Sequence[float], Sequence[float]],
        skip: int = 0,
    ) -> None:
        super().__init__(model, scale=scale, skip=skip)
        self.text_dim = text_dim
        self.films = nn.ModuleList(Film(text_dim, self.dim) for _ in _blocks(model)[0])

    def forward(self, images: Tensor, sentence: Tensor | None = None) -> Tensor:
        assert sentence is not None
        layers, attend, feed = _blocks(self.model)
        hidden = self.model.embeddings(self.pixels(images))
        for layer, film in zip(layers, self.films, strict=True):
            hidden = feed(layer, film(attend(layer, hidden), sentence))
        return hidden[:, self.skip :]


Half = Callable[[Any, Tensor], Tensor]


def _blocks(model: Any) -> tuple[nn.ModuleList, Half, Half]:
    """The blocks, and the two residual halves of one."""
    if isinstance(model, SiglipVisionModel):
        return model.encoder.layers, _siglip_attend, _siglip_feed
    if isinstance(model, Dinov2WithRegistersModel):
        return model.encoder.layer, _dino_attend, _dino_feed
    raise ContractError(f"{type(model).__name__} has blocks that FiLM has no place in; SigLIP's and DINOv2's have one")


def _siglip_attend(layer: Any, hidden: Tensor) -> Tensor:
    attended: Tensor = layer.self_attn(layer.layer_norm1(hidden))[0]
    return hidden + attended


def _siglip_feed(layer: Any, hidden: Tensor) -> Tensor:
    fed: Tensor = layer.mlp(layer.layer_norm2(hidden))
    return hidden + fed


def _dino_attend(layer: Any, hidden: Tensor) -> Tensor:
    attended: Tensor = layer.drop_path(layer.layer_scale1(layer.attention(layer.norm1(hidden))[0]))
    return hidden + attended


def _dino_feed(layer: Any, hidden: Tensor) -> Tensor:
    fed: Tensor = layer.drop_path(layer.layer_scale2(layer.mlp(layer.norm2(hidden))))
    return hidden + fed
