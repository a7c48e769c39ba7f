"""TokenLearner (Ryoo et al. 2021): a few tokens that each look where they have learnt to look."""

from __future__ import annotations

from torch import Tensor, nn

from components.policy.parts.connectors import Connector

_EPS = 1e-6


class TokenLearner(Connector):
    """Version 1.1, as RT-1 has it: norm, two layers, a softmax over the positions of one view for each token.

    `count`: tokens a view; `hidden`: numbers between the two layers; `width`: of the trunk, to which the tokens are
    projected at the end, as RT-1's Transformer does with all that it reads.
    """

    def __init__(self, dim: int, width: int, *, count: int = 8, hidden: int = 64, dropout: float = 0.0) -> None:
        super().__init__()
        self.count = count
        self.norm = nn.LayerNorm(dim, eps=_EPS)
        self.scores = nn.Sequential(
            nn.Linear(dim, hidden),
            nn.GELU(approximate="tanh"),
            nn.Dropout(dropout),
            nn.Linear(hidden, count),
            nn.Dropout(dropout),
        )
        self.project = nn.Linear(dim, width)

    def tokens(self, views: int, features: int) -> int:
        return views * self.count

    def attention(self, features: Tensor) -> Tensor:
        """[..., N, D] -> [..., count, N]: how much each token takes of each position, 1 in all."""
        scores: Tensor = self.scores(self.norm(features))
        return scores.transpose(-1, -2).softmax(dim=-1)

    def forward(self, features: Tensor) -> Tensor:
        learnt: Tensor = self.project(self.attention(features) @ features)
        return learnt.flatten(1, 2)
