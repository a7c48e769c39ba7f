"""Instructions as segments: by the trunk's own table of words, or by a model that reads them first."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from components.policy.parts.resampler import Latents
from components.policy.parts.segments import TEXT, Segment
from components.policy.parts.trunk import Trunk

PADDING_ID = 0


class Words(nn.Module):
    """Tokens int64 [B, T] to a segment of [B, T, W]; id 0 is padding. `trunk`: the one that will read it."""

    def forward(self, tokens: Tensor, trunk: Trunk) -> Segment:
        raise NotImplementedError


class TrunkWords(Words):
    """The vectors of the trunk's own table. `scale`: what they are multiplied by."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, tokens: Tensor, trunk: Trunk) -> Segment:
        embeds = trunk.embed(tokens)
        return Segment(TEXT, embeds * self.scale if self.scale != 1.0 else embeds, tokens != PADDING_ID)


class OwnWords(Words):
    """A table of words of the policy's own, with a learned place a word.

    `latents`: what reads the words into a fixed number of tokens; None: a token a word.
    """

    # Known words keep their vectors when a vocabulary grows (`components.policy.adapters`).
    rows = ("table.weight", "places")

    def __init__(self, vocab_size: int, text_len: int, width: int, *, latents: Latents | None = None) -> None:
        super().__init__()
        self.table = nn.Embedding(vocab_size, width)
        self.places = nn.Parameter(torch.randn(text_len, width) * 0.02)
        self.latents = latents

    def forward(self, tokens: Tensor, trunk: Trunk) -> Segment:
        words, seen = self.table(tokens) + self.places, tokens != PADDING_ID
        if self.latents is None:
            return Segment(TEXT, words, seen)
        read = self.latents(words, seen)
        # Without a word there is nothing that the latents could have read.
        return Segment(TEXT, read, seen.any(dim=1, keepdim=True).expand(-1, self.latents.count))
