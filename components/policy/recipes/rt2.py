"""RT-2: a vision-language model that answers with actions as words, as it was built on PaLM-E (Brohan et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from transformers import CohereConfig, CohereModel, PreTrainedModel, SiglipVisionConfig, SiglipVisionModel

from components.policy.action_heads.tokens import ActionTokens
from components.policy.adapters import Adapters
from components.policy.parts.connectors import Projection
from components.policy.parts.decoder import Decoder
from components.policy.parts.masks import causal
from components.policy.parts.policy import Parts, VlaPolicy
from components.policy.parts.segments import TEXT, VIEWS
from components.policy.parts.towers import HALF, PatchTower
from components.policy.parts.words import TrunkWords
from components.policy.recipes.prismatic import Eye, vocabulary_end
from components.policy.shape import Shape

_ORDER = (VIEWS, TEXT)


@dataclass(frozen=True)
class Rt2Size:
    """The defaults are those of PaLM-E-12B: ViT-e (Chen et al. 2022) and PaLM 8B (Chowdhery et al. 2022).

    `image_px`: that the eye looks at, 0: the robot's; `feed`, `layers`, `heads`, `width`: of the language model;
    `vocabulary`: its ids, 0: what the words need.
    """

    eye: Eye
    patch: int = 14
    image_px: int = 224
    width: int = 4096
    layers: int = 32
    heads: int = 16
    feed: int = 16384
    vocabulary: int = 256_000


FULL = Rt2Size(eye=Eye(layers=56, width=1792, heads=16, feed=15360))
# For one core.
SMALL = Rt2Size(
    eye=Eye(layers=4, width=192, heads=4, feed=512),
    patch=16,
    image_px=0,
    width=192,
    layers=4,
    heads=4,
    feed=512,
    vocabulary=0,
)


def published(shape: Shape, *, blind: bool = False, wordless: bool = False) -> VlaPolicy:
    return _built(shape, FULL, blind=blind, wordless=wordless)


def small(shape: Shape, *, blind: bool = False, wordless: bool = False) -> VlaPolicy:
    """For one core."""
    return _built(shape, SMALL, blind=blind, wordless=wordless)


def _built(shape: Shape, size: Rt2Size, *, blind: bool, wordless: bool) -> VlaPolicy:
    tower, end = PatchTower(_vision(size, shape), scale=HALF), vocabulary_end(shape, size.vocabulary)
    trunk = Decoder(_palm(size, end))
    parts = Parts(
        tower=tower,
        connector=Projection(tower.dim, (size.width,)),
        trunk=trunk,
        # PaLM's table of words is its output layer too, with logits scaled for that.
        head=ActionTokens(trunk, shape.chunk, shape.action_dim, end=end, scale=size.width**-0.5),
        order=_ORDER,
        rules=causal(_ORDER),
        words=TrunkWords(),
        # The state is not looked at, and the ids of actions are the same for every robot.
        adapters=Adapters(state=(), action=()),
    )
    return VlaPolicy(shape, parts, blind=blind, wordless=wordless)


def _vision(size: Rt2Size, shape: Shape) -> PreTrainedModel:
    config = SiglipVisionConfig(
        image_size=size.image_px or shape.image_px,
        patch_size=size.patch,
        hidden_size=size.eye.width,
        intermediate_size=size.eye.feed,
        num_hidden_layers=size.eye.layers,
        num_attention_heads=size.eye.heads,
        vision_use_head=False,
    )
    return SiglipVisionModel(config)


def _palm(size: Rt2Size, rows: int) -> PreTrainedModel:
    """PaLM's block is Cohere's: attention and SwiGLU side by side, one key and value for all heads, no biases."""
    config = CohereConfig(
        vocab_size=rows,
        hidden_size=size.width,
        intermediate_size=size.feed,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=1,
        max_position_embeddings=2048,
        pad_token_id=0,
        # Those of Cohere's own vocabulary, which this one does not have.
        bos_token_id=None,
        eos_token_id=None,
    )
    model = CohereModel(config)
    # As PaLM begins: the scaled logits are of the order of 1, and every matrix keeps the size of what it reads.
    nn.init.normal_(model.get_input_embeddings().weight)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
    return model
