"""No trunk: what reads the observation is the action head itself."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from components.policy.parts.masks import Rule
from components.policy.parts.segments import KeysValues, Segment
from components.policy.parts.trunk import Trunk


class NoTrunk(Trunk):
    """Hands every segment on as it is."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, segments: Sequence[Segment], rules: Sequence[Rule]) -> tuple[list[Tensor], KeysValues]:
        return [segment.embeds for segment in segments], ()
