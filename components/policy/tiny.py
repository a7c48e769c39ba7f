"""`gripline-tiny`: small enough to train on one core in minutes, large enough to need its eyes and its instruction."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from components.core.spec import Embodiment
from components.policy.heads import ChunkHead
from components.policy.language import InstructionEncoder
from components.policy.vision import CameraEncoder

_TEXT_DIM = 64


class TinyPolicy(nn.Module):
    """One CNN a camera with FiLM from the instruction, the robot's state, and a chunk of actions regressed at once.

    `blind`: takes the same inputs and never looks at the images. It is the control for tasks that need no vision.
    """

    def __init__(self, embodiment: Embodiment, *, vocab_size: int, text_len: int, chunk: int, blind: bool) -> None:
        super().__init__()
        seen = embodiment.observation
        self.blind = blind
        self.language = InstructionEncoder(vocab_size, text_len, _TEXT_DIM)
        eyes = [CameraEncoder(seen.image_px, _TEXT_DIM) for _ in (() if blind else seen.cameras)]
        self.eyes = nn.ModuleList(eyes)
        features = len(seen.state_names) + _TEXT_DIM + sum(eye.dim for eye in eyes)
        self.head = ChunkHead(features, chunk, embodiment.action.dim)

    def forward(self, images: Tensor, state: Tensor, tokens: Tensor) -> Tensor:
        """images uint8 [B, K, px, px, 3], state float32 [B, S], tokens int64 [B, T] -> float32 [B, H, A].

        State and actions are normalised; images are scaled here.
        """
        text = self.language(tokens)
        seen = [eye(images[:, index], text) for index, eye in enumerate(self.eyes)]
        return self.head(torch.cat([state, text, *seen], dim=1))
