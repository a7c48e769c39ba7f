"""The style of a demonstration as a Gaussian: what the actions say beyond the observation. Used in training only."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from components.policy.act.positions import along
from components.policy.act.sizes import ActSize
from components.policy.act.transformer import EncoderLayer
from components.policy.dense import Dense


class LatentEncoder(nn.Module):
    """Encoder of a conditional variational auto-encoder: a class token, the state and the chunk of actions."""

    positions: Tensor

    def __init__(self, size: ActSize, state_dim: int, action_dim: int, chunk: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(size.width))
        self.state, self.action = Dense(state_dim, size.width), Dense(action_dim, size.width)
        self.layers = nn.ModuleList(EncoderLayer(size) for _ in range(size.latent_layers))
        self.out = Dense(size.width, 2 * size.latent)
        self.register_buffer("positions", along(2 + chunk, size.width), persistent=False)

    def forward(self, state: Tensor, actions: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """state [B, S], actions [B, H, A], mask [B, H] (0: past the end) -> mean and log-variance, [B, latent] each."""
        token = self.token.expand(len(state), 1, -1)
        tokens = torch.cat([token, self.state(state).unsqueeze(1), self.action(actions)], dim=1)
        hidden = torch.cat([mask.new_zeros(len(mask), 2), 1.0 - mask], dim=1) > 0.5
        *layers, last = self.layers
        for layer in layers:
            tokens = layer(tokens, self.positions, hidden)
        # Only the class token is read.
        mean, log_variance = self.out(last(tokens, self.positions, hidden, only=1)[:, 0]).chunk(2, dim=1)
        return mean, log_variance


def sample(mean: Tensor, log_variance: Tensor) -> Tensor:
    """A draw that gradients pass through (Kingma and Welling 2014)."""
    return mean + (log_variance / 2.0).exp() * torch.randn_like(mean)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """[B, latent] each -> [B]: Kullback-Leibler divergence from the standard normal distribution."""
    return -0.5 * (1.0 + log_variance - mean.square() - log_variance.exp()).sum(dim=1)
