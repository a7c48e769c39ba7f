"""`gripline-tiny`: small enough to train on one core in minutes, large enough to need its eyes and its instruction."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from components.policy.adapters import Adapters, module_key
from components.policy.heads import ChunkHead
from components.policy.language import InstructionEncoder
from components.policy.shape import Shape
from components.policy.vision import CameraEncoder

_TEXT_DIM = 64
STATE, TEXT = "state", "text"


class TinyPolicy(nn.Module):
    """One CNN a camera with FiLM from the instruction, the robot's state, and a chunk of actions regressed at once.

    `blind`: takes the same inputs and never looks at the images; `wordless`: never at the instruction. These are the
    controls for tasks that need no vision, and no language.
    """

    adapters: ClassVar[Adapters] = Adapters(
        state=("head.first.sources.state",),
        action=("head.last",),
        cameras=("eyes", "head.first.sources"),
        rows=("language.words.weight", "language.positions", "head.last.weight", "head.last.bias"),
    )

    def __init__(self, shape: Shape, *, blind: bool = False, wordless: bool = False) -> None:
        super().__init__()
        seen, self.shape = shape.embodiment.observation, shape
        self.blind, self.wordless = blind, wordless
        self.language = InstructionEncoder(shape.vocab_size, shape.text_len, _TEXT_DIM)
        # Named, not numbered: a camera of the same name is the same eye on another robot.
        self.cameras = () if blind else tuple(map(module_key, seen.cameras))
        eyes = {camera: CameraEncoder(seen.image_px, _TEXT_DIM) for camera in self.cameras}
        self.eyes = nn.ModuleDict(eyes)
        sizes = {STATE: shape.state_dim, TEXT: _TEXT_DIM} | {name: eye.dim for name, eye in eyes.items()}
        self.head = ChunkHead(sizes, shape.chunk, shape.action_dim)

    def forward(self, images: Tensor, state: Tensor, tokens: Tensor) -> Tensor:
        """images uint8 [B, K, px, px, 3], state float32 [B, S], tokens int64 [B, T] -> float32 [B, H, A].

        State and actions are normalised; images are scaled here.
        """
        self.shape.require_inputs(images, state, tokens)
        # Padding reads as no word at all: the network is the same, and no instruction reaches it.
        text = self.language(torch.zeros_like(tokens) if self.wordless else tokens)
        seen = {name: self.eyes[name](images[:, place], text) for place, name in enumerate(self.cameras)}
        return self.head({STATE: state, TEXT: text, **seen})
