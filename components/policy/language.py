"""The instruction, as a short vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PADDING_ID = 0


class InstructionEncoder(nn.Module):
    """Word and position embeddings, their mean over the words that are there, and a small MLP.

    `vocab_size` counts padding (id 0) and the unknown word; `text_len` is the fixed length T.
    """

    def __init__(self, vocab_size: int, text_len: int, dim: int) -> None:
        super().__init__()
        self.words = nn.Embedding(vocab_size, dim)
        self.positions = nn.Parameter(torch.randn(text_len, dim) * 0.1)
        self.mix = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU())

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens int64 [B, T], 0 = padding -> [B, dim]."""
        there = (tokens != PADDING_ID).to(torch.float32).unsqueeze(2)
        # ReLU before the mean: a word counts by where it stands, which a mean of plain sums would lose.
        words = torch.relu(self.words(tokens) + self.positions) * there
        return self.mix(words.sum(dim=1) / there.sum(dim=1).clamp(min=1.0))
