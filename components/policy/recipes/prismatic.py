"""What OpenVLA and OpenVLA-OFT have in common: the eyes, projector and language model of Prismatic-7B."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn
from transformers import (
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    LlamaConfig,
    LlamaModel,
    PreTrainedModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from components.core.errors import ContractError
from components.policy.action_heads.tokens import ACTION_IDS
from components.policy.parts.connectors import Projection
from components.policy.parts.decoder import Decoder
from components.policy.parts.filmed import FilmedPatchTower
from components.policy.parts.towers import HALF, IMAGENET, FusedTower, PatchTower
from components.policy.shape import Shape

# Of the class and the four registers that DINOv2 puts before its patches.
_REGISTERS = 4
# Small tables of words have rows for so many words, or twice as many, ...
_WORDS = 256


@dataclass(frozen=True)
class Eye:
    """One vision transformer; `layers`: those whose output is used, one less than it was trained with."""

    layers: int
    width: int
    heads: int
    feed: int


@dataclass(frozen=True)
class PrismaticSize:
    """The defaults are those of Prismatic-7B (Karamcheti et al. 2024) at 224 px, as OpenVLA has it.

    `image_px`: that the eyes look at, 0: the robot's; `projector`: hidden widths; `feed`, `layers`, `heads`, `width`:
    of the language model; `vocabulary`: one past its last id, 0: what the words need; `padding`: rows after that.
    """

    dino: Eye = Eye(layers=23, width=1024, heads=16, feed=4096)
    siglip: Eye = Eye(layers=26, width=1152, heads=16, feed=4304)
    patch: int = 14
    image_px: int = 224
    projector: tuple[int, ...] = (8704, 4096)
    width: int = 4096
    layers: int = 32
    heads: int = 32
    feed: int = 11008
    vocabulary: int = 32_000
    padding: int = 64

    def end(self, shape: Shape) -> int:
        """One past the last id: words take the first, actions the last 256. Raises `ContractError` for want of room."""
        return vocabulary_end(shape, self.vocabulary)

    def rows(self, shape: Shape) -> int:
        """Of the table of words."""
        return self.end(shape) + self.padding


FULL = PrismaticSize()
# For one core.
SMALL = PrismaticSize(
    dino=Eye(layers=3, width=128, heads=4, feed=256),
    siglip=Eye(layers=3, width=128, heads=4, feed=256),
    patch=16,
    image_px=0,
    projector=(512, 192),
    width=192,
    layers=4,
    heads=4,
    feed=512,
    vocabulary=0,
    padding=0,
)


def vocabulary_end(shape: Shape, fixed: int = 0) -> int:
    """One past the last id of a vocabulary whose last 256 ids are actions; `fixed`, or as large as the words need.

    Raises `ContractError` where the words would reach into the actions.
    """
    # In steps: with a few words more, actions keep their ids and a base's table still fits.
    end = fixed or -(-shape.vocab_size // _WORDS) * _WORDS + ACTION_IDS
    if shape.vocab_size > end - ACTION_IDS:
        raise ContractError(
            f"the dataset has {shape.vocab_size} words, the vocabulary has {end - ACTION_IDS} ids that are no actions",
            hint="Take instructions of fewer words, or the small size, whose vocabulary grows with them",
        )
    return end


def fused_tower(size: PrismaticSize, shape: Shape, *, film: bool = False) -> FusedTower:
    """DINOv2 and SigLIP side by side; with `film`, the sentence conditions every block of both."""
    dino, siglip = _dino(size, shape), _siglip(size, shape)
    towers = []
    for model, scale, skip in ((dino, IMAGENET, 1 + _REGISTERS), (siglip, HALF, 0)):
        if film:
            towers.append(FilmedPatchTower(model, size.width, scale=scale, skip=skip))
        else:
            towers.append(PatchTower(model, scale=scale, skip=skip))
    return FusedTower(towers)


def projector(size: PrismaticSize, tower: FusedTower) -> Projection:
    return Projection(tower.dim, (*size.projector, size.width))


def llama(size: PrismaticSize, shape: Shape) -> Decoder:
    """The language model without its output layer; the head has one where it needs it."""
    config = LlamaConfig(
        vocab_size=size.rows(shape),
        hidden_size=size.width,
        intermediate_size=size.feed,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=2048,
        pad_token_id=0,
        # About Llama's 0.02 at its own width; a narrow one would begin with next to nothing beside its residuals.
        initializer_range=size.width**-0.5,
    )
    return Decoder(LlamaModel(config))


def _siglip(size: PrismaticSize, shape: Shape) -> PreTrainedModel:
    """As far as it is looked at: neither norm nor pooling after its last layer."""
    seen = _seen(size.siglip, size, shape)
    model = SiglipVisionModel(SiglipVisionConfig(intermediate_size=size.siglip.feed, vision_use_head=False, **seen))
    model.post_layernorm = nn.Identity()
    return model


def _dino(size: PrismaticSize, shape: Shape) -> PreTrainedModel:
    seen, ratio = _seen(size.dino, size, shape), size.dino.feed // size.dino.width
    model = Dinov2WithRegistersModel(Dinov2WithRegistersConfig(mlp_ratio=ratio, num_register_tokens=_REGISTERS, **seen))
    # Nothing is masked here: a weight without a gradient stops processes that train together.
    model.layernorm, model.embeddings.mask_token = nn.Identity(), None
    return model


def _seen(eye: Eye, size: PrismaticSize, shape: Shape) -> dict[str, Any]:
    return {
        "image_size": size.image_px or shape.image_px,
        "patch_size": size.patch,
        "hidden_size": eye.width,
        "num_hidden_layers": eye.layers,
        "num_attention_heads": eye.heads,
    }
