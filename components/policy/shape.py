"""What a policy is built to fit."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from components.core.errors import ContractError
from components.core.spec import Embodiment


@dataclass(frozen=True)
class Shape:
    """`vocab_size`: rows of the table of words, padding and unknown included; `text_len`: tokens of an instruction."""

    embodiment: Embodiment
    vocab_size: int
    text_len: int
    chunk: int

    @property
    def state_dim(self) -> int:
        return len(self.embodiment.observation.state_names)

    @property
    def action_dim(self) -> int:
        return self.embodiment.action.dim

    @property
    def views(self) -> int:
        return len(self.embodiment.observation.cameras)

    @property
    def image_px(self) -> int:
        """Pixels a side."""
        return self.embodiment.observation.image_px

    def require_inputs(self, images: Tensor | None, state: Tensor | None, tokens: Tensor | None) -> None:
        """Raises `ContractError` naming the input that is missing or of another shape than the robot's."""
        expected = {
            "images": (images, (self.views, self.image_px, self.image_px, 3)),
            "state": (state, (self.state_dim,)),
            "tokens": (tokens, (self.text_len,)),
        }
        for name, (found, wanted) in expected.items():
            if found is None or tuple(found.shape[1:]) != wanted:
                has = "missing" if found is None else f"[batch, {', '.join(map(str, found.shape[1:]))}]"
                raise ContractError(
                    f"{name} is {has}, {self.embodiment.name} gives [batch, {', '.join(map(str, wanted))}]",
                    hint="A policy takes every modality that it was built for, and no other",
                )
