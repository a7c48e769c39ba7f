"""One composition for every published architecture: vision tower, connector, trunk, action head."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from components.core.errors import ContractError
from components.policy.action_heads.head import ActionHead
from components.policy.action_heads.termination import Termination
from components.policy.adapters import Adapters
from components.policy.losses import Loss
from components.policy.parts.connectors import Connector
from components.policy.parts.masks import Rule
from components.policy.parts.segments import SLOTS, STATE, TEXT, VIEWS, Context, Segment
from components.policy.parts.towers import VisionTower
from components.policy.parts.trunk import Trunk
from components.policy.parts.words import Words
from components.policy.shape import Shape


@dataclass(frozen=True, eq=False)
class Parts:
    """`sentence`: from tokens to the one vector that a conditioned tower takes, the mean of them if it is `Words`;
    `state`: from [B, S] to [B, N, W].

    `termination`: says when the episode is over, None for a policy that does not.
    `order`: the segments that the trunk reads; what is not among them reaches the head alone, or nothing. `adapters`:
    edges that are none of the head's, by names in the policy.
    """

    tower: VisionTower
    connector: Connector
    trunk: Trunk
    head: ActionHead
    order: tuple[str, ...]
    rules: tuple[Rule, ...]
    words: Words | None = None
    sentence: nn.Module | None = None
    state: nn.Module | None = None
    termination: Termination | None = None
    adapters: Adapters = field(default_factory=lambda: Adapters((), ()))


class VlaPolicy(nn.Module):
    """Images, state and instruction become segments, the trunk reads them, the head answers.

    `blind`: takes the same inputs and never looks at the images; `wordless`: never at the instruction. `noise` of heads
    that sample is part of the weights: the same observation has the same answer, unless another noise is given.
    """

    def __init__(self, shape: Shape, parts: Parts, *, blind: bool = False, wordless: bool = False) -> None:
        super().__init__()
        self.shape, self.order, self.rules = shape, parts.order, parts.rules
        self.blind, self.wordless = blind, wordless
        self.tower, self.connector, self.trunk, self.head = parts.tower, parts.connector, parts.trunk, parts.head
        self.words, self.sentence, self.state = parts.words, parts.sentence, parts.state
        self.termination = parts.termination
        self.adapters = _edges(parts)
        noise = parts.head.noise_shape
        self.register_buffer("noise", None if noise is None else _fixed_noise(noise))

    def forward(self, images: Tensor, state: Tensor, tokens: Tensor, noise: Tensor | None = None) -> Tensor:
        """images uint8 [B, K, px, px, 3], state float32 [B, S], tokens int64 [B, T] -> float32 [B, H, A].

        State and actions are normalised; images are scaled here. `noise`: where a head that samples starts.
        Raises `ContractError` naming the input that has another shape than the robot's.
        """
        context = self.context(images, state, tokens)
        if noise is None and self.noise is not None:
            noise = self.noise.expand(state.shape[0], -1, -1)
        return self.head.answer(context, noise)

    def training_loss(self, batch: dict[str, Tensor]) -> Loss:
        """That of the head, and of the end of an episode where it is told; see `components.policy.losses`."""
        context = self.context(batch["images"], batch["state"], batch["tokens"])
        acted = self.head.loss(context, batch)
        return acted if self.termination is None else self.termination.beside(acted, context, batch)

    def done(self, images: Tensor, state: Tensor, tokens: Tensor) -> Tensor:
        """For every action of the chunk, the probability [B, H] that the episode has ended before it.

        Raises `ContractError` for a policy that does not say it.
        """
        if self.termination is None:
            raise ContractError(
                "this policy does not say when an episode is over",
                hint="Give its parts a `termination`, as components/policy/README.md shows, and train it",
            )
        return self.termination(self.context(images, state, tokens)).sigmoid()

    def context(self, images: Tensor, state: Tensor, tokens: Tensor) -> Context:
        """What the trunk makes of an observation."""
        self.shape.require_inputs(images, state, tokens)
        images = torch.zeros_like(images) if self.blind else images
        tokens = torch.zeros_like(tokens) if self.wordless else tokens
        segments = [self._segment(name, images, state, tokens) for name in self.order]
        hidden, cache = self.trunk(segments, self.rules)
        pairs = zip(segments, hidden, strict=True)
        read = tuple(Segment(segment.name, made, segment.seen) for segment, made in pairs)
        return Context(read, state, tokens, self.trunk, cache)

    def _segment(self, name: str, images: Tensor, state: Tensor, tokens: Tensor) -> Segment:
        if name == VIEWS:
            return Segment.whole(VIEWS, self._look(images, tokens))
        if name == TEXT and self.words is not None:
            segment: Segment = self.words(tokens, self.trunk)
            return segment
        if name == STATE and self.state is not None:
            return Segment.whole(STATE, self.state(state))
        if name == SLOTS:
            return Segment.whole(SLOTS, self.head.slot_tokens(state.shape[0]))
        raise ContractError(f"nothing makes the segment {name!r}")

    def _look(self, images: Tensor, tokens: Tensor) -> Tensor:
        views = images.shape[1]
        sentence = None if self.sentence is None else self._sentence(tokens).repeat_interleave(views, dim=0)
        features = self.tower(images.flatten(0, 1), sentence)
        seen: Tensor = self.connector(features.unflatten(0, (-1, views)))
        return seen

    def _sentence(self, tokens: Tensor) -> Tensor:
        if isinstance(self.sentence, Words):
            return self.sentence(tokens, self.trunk).mean()
        assert self.sentence is not None
        vector: Tensor = self.sentence(tokens)
        return vector


def _edges(parts: Parts) -> Adapters:
    head, ends = parts.head, () if parts.termination is None else parts.termination.rows

    def of_head(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(f"head.{name}" for name in names)

    return Adapters(
        state=(*parts.adapters.state, *of_head(head.state_edges)),
        action=(*parts.adapters.action, *of_head(head.action_edges), "noise"),
        cameras=parts.adapters.cameras,
        rows=(*parts.adapters.rows, *of_head(head.rows), *(f"termination.{name}" for name in ends)),
    )


def _fixed_noise(shape: tuple[int, int]) -> Tensor:
    """[1, *shape], the same for every policy of this shape."""
    generator = torch.Generator(device="cpu").manual_seed(0)
    return torch.randn(1, *shape, generator=generator, device="cpu")
