"""RT-1."""

from __future__ import annotations

from components.policy.action_heads.bins import ParallelBins
from components.policy.adapters import Adapters
from components.policy.parts.blocks import BlockTrunk
from components.policy.parts.efficientnet import EfficientNetTower, efficientnet
from components.policy.parts.masks import Rule
from components.policy.parts.policy import Parts, VlaPolicy
from components.policy.parts.rt1_block import Rt1Block
from components.policy.parts.segments import SLOTS, VIEWS
from components.policy.parts.sentence import MeanOfWords
from components.policy.parts.token_learner import TokenLearner
from components.policy.shape import Shape

# What the published policy remembers, and what there are places for on every robot, so that robots can share them.
FRAMES = 6
# Width of the Universal Sentence Encoder's vectors, by which the published size is steered.
_SENTENCE = 512

_ORDER = (VIEWS, SLOTS)
# As `_generate_masks` of the published code: tokens of images see all before them, slots see images and no slot.
_RULES = (Rule(VIEWS, "causal"), Rule(SLOTS, "alone", (VIEWS,)))


def published(shape: Shape, *, blind: bool = False, wordless: bool = False) -> VlaPolicy:
    b3 = efficientnet(300, width_coefficient=1.2, depth_coefficient=1.4, hidden_dim=1536)
    tower = EfficientNetTower(b3, _SENTENCE, 512)
    blocks = [Rt1Block(512, 8, 128, dropout=0.1) for _ in range(8)]
    return VlaPolicy(shape, _parts(shape, tower, 512, blocks), blind=blind, wordless=wordless)


def small(shape: Shape, *, blind: bool = False, wordless: bool = False) -> VlaPolicy:
    eye = efficientnet(
        shape.image_px,
        width_coefficient=0.5,
        depth_coefficient=1.0,
        num_block_repeats=(1,) * 7,
        strides=(2, 2, 1, 2, 1, 1, 1),
        hidden_dim=640,
        drop_connect_rate=0.0,
    )
    tower = EfficientNetTower(eye, _SENTENCE, 256, norm="group")
    blocks = [Rt1Block(256, 4, 64) for _ in range(5)]
    return VlaPolicy(shape, _parts(shape, tower, 256, blocks), blind=blind, wordless=wordless)


def _parts(shape: Shape, tower: EfficientNetTower, width: int, blocks: list[Rt1Block]) -> Parts:
    connector = TokenLearner(tower.dim, width)
    head = ParallelBins(width, shape.chunk, shape.action_dim)
    places = {VIEWS: connector.tokens(max(FRAMES, shape.views), tower.tokens)}
    return Parts(
        tower=tower,
        connector=connector,
        trunk=BlockTrunk(width, blocks, places=places, norm=False),
        head=head,
        order=_ORDER,
        rules=_RULES,
        sentence=MeanOfWords(shape.vocab_size, tower.text_dim),
        adapters=Adapters((), (), rows=("sentence.table.weight", f"trunk.places.{VIEWS}")),
    )
