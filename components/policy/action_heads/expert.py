"""π0's head: noise becomes actions through an expert that attends to what the trunk has read, layer by layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.policy.action_heads.flow import PI0
from components.policy.action_heads.head import ActionHead, Batch, masked_mean
from components.policy.action_heads.loop import repeated
from components.policy.action_heads.times import TimeWaves, beta_times
from components.policy.losses import Loss
from components.policy.parts.gemma import ActionExpert, Ahead
from components.policy.parts.segments import Context


class ExpertHead(ActionHead):
    """Flow matching by an action expert (Black et al. 2024; openpi).

    After the prefix comes the state, one token that sees the prefix and itself, then one token an action, which see
    all. Time is joined to the actions by an MLP; with an adaptive expert (π0.5) it conditions the norms instead.
    `state_dim`: 0 for no state token. `padded`: to how many numbers state and actions are filled up with zeros, so that
    weights fit robots of up to that many; 0 for a robot's own. `draws`: noises and times a window and step of training;
    more make its gradient quieter at the price of the expert alone, as the prefix is read once.
    """

    flow_convention = PI0.name
    action_edges = ("action_in", "action_out")

    def __init__(
        self,
        expert: ActionExpert,
        chunk: int,
        action_dim: int,
        state_dim: int,
        *,
        padded: int = 0,
        steps: int = 10,
        draws: int = 1,
    ) -> None:
        super().__init__()
        width, self.steps, self.draws = expert.width, steps, draws
        self.chunk, self.action_dim, self.action_width = chunk, action_dim, padded or action_dim
        self.noise_shape = (chunk, self.action_width)
        self.state_edges = ("state_in",) if state_dim else ()
        self.state_width = padded or state_dim
        self.expert = expert
        self.state_in = nn.Linear(self.state_width, width) if state_dim else None
        self.action_in, self.action_out = nn.Linear(self.action_width, width), nn.Linear(width, self.action_width)
        self.time_in = nn.Linear(width if expert.adaptive else 2 * width, width)
        self.time_out = nn.Linear(width, width)
        self.time = TimeWaves(width, PI0.times(steps))

    def loss(self, context: Context, batch: Batch) -> Loss:
        actions = batch["actions"]
        rows = self.draws * actions.shape[0]
        noise = torch.randn(rows, self.chunk, self.action_width, device=actions.device)
        return self.loss_at(context, batch, noise, beta_times(rows, actions.device))

    def loss_at(self, context: Context, batch: Batch, noise: Tensor, time: Tensor) -> Loss:
        """The loss for noises [D * B, H, numbers] and times [D * B], all windows again for every draw.

        It is a mean over the draws; only the robot's own numbers count.
        """
        windows = batch["actions"].shape[0]
        draws = noise.shape[0] // windows
        actions = _filled(batch["actions"], self.action_width).repeat(draws, 1, 1)
        ahead = self.ahead(context).repeated(draws)
        velocity = self.velocity(ahead, PI0.between(noise, actions, time), self.time(time))
        error = (velocity.float() - PI0.velocity(noise, actions)).square().unflatten(0, (draws, windows)).mean(dim=0)
        loss = masked_mean(error[..., : self.action_dim], batch, "flow")
        # What the trunk's last layer makes of its own keys and values is read by nobody: its gradient is 0, not absent,
        # as processes that train together need.
        return loss._replace(total=loss.total + 0.0 * context.hidden()[0].float().sum())

    def answer(self, context: Context, noise: Tensor | None = None) -> Tensor:
        if noise is None:
            raise ValueError("a flow starts from noise")
        ahead, length = self.ahead(context), PI0.step(self.steps)

        def step(point: Tensor, number: Tensor) -> Tensor:
            return point + length * self.velocity(ahead, point, self.time.table.index_select(0, number))

        return repeated(step, noise, self.steps)[..., : self.action_dim]

    def ahead(self, context: Context) -> Ahead:
        """What all steps of a flow have in common. The state is part of it, as no action changes it."""
        cache, seen = context.cache, context.seen
        if self.state_in is not None:
            token = self.state_in(_filled(context.state, self.state_width)).unsqueeze(1)
            _, cache = self.expert(token, self.expert.ahead(cache, seen, 1))
            seen = torch.cat([seen, torch.ones_like(seen[:, :1])], dim=1)
        return self.expert.ahead(cache, seen, self.chunk)

    def velocity(self, ahead: Ahead, noisy: Tensor, time: Tensor) -> Tensor:
        """Noisy actions [B, H, numbers] and the vectors of their times [B or 1, W] -> velocity [B, H, numbers]."""
        tokens, condition = self.action_in(noisy), None
        if self.expert.adaptive:
            condition = functional.silu(self.time_out(functional.silu(self.time_in(time))))
        else:
            joined = torch.cat([tokens, time.to(tokens.dtype).unsqueeze(1).expand_as(tokens)], dim=2)
            tokens = self.time_out(functional.silu(self.time_in(joined)))
        hidden, _ = self.expert(tokens, ahead, condition)
        velocity: Tensor = self.action_out(hidden)
        return velocity


def _filled(values: Tensor, width: int) -> Tensor:
    """The last axis filled up with zeros."""
    return functional.pad(values, (0, width - values.shape[-1]))
