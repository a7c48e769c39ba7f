"""What stands between the senses and the actions."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from components.policy.parts.masks import Rule
from components.policy.parts.segments import KeysValues, Segment


class Trunk(nn.Module):
    """Turns segments into hidden states; `width`: of both, `caches`: whether `extend` can go on from what was read."""

    width: int
    caches: bool = False

    def forward(self, segments: Sequence[Segment], rules: Sequence[Rule]) -> tuple[list[Tensor], KeysValues]:
        """Hidden states [B, L, W] of every segment, and what `extend` goes on from."""
        raise NotImplementedError

    def embed(self, tokens: Tensor) -> Tensor:
        """int64 [B, T] -> [B, T, W], for trunks that have a table of words."""
        raise NotImplementedError

    def table(self) -> Tensor:
        """[rows, W] that `embed` reads from, where it is the output layer as well."""
        raise NotImplementedError

    def extend(self, embeds: Tensor, cache: KeysValues, mask: Tensor, positions: Tensor) -> tuple[Tensor, KeysValues]:
        """`embeds` [B, N, W] after what `cache` holds; `mask` bool [B, 1, N, L + N], `positions` int64 [B, N].

        Hidden states [B, N, W] and the longer cache; the one that came is not changed.
        """
        raise NotImplementedError
