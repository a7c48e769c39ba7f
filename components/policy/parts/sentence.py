"""An instruction as one vector, for what is conditioned on it as a whole."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from components.policy.parts.words import PADDING_ID


class MeanOfWords(nn.Module):
    """The mean of the vectors of the words that are there; zeros where there is none."""

    def __init__(self, vocab_size: int, dim: int) -> None:
        super().__init__()
        self.table = nn.Embedding(vocab_size, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens int64 [B, T] -> [B, dim]."""
        vectors: Tensor = self.table(tokens)
        there = (tokens != PADDING_ID).unsqueeze(2).to(vectors.dtype)
        return torch.sum(vectors * there, dim=1) / there.sum(dim=1).clamp(min=1.0)
