"""The action head of SmolVLA (Shukor et al. 2025): a flow from noise to actions, its velocity told by the expert."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from components.core.errors import ContractError
from components.policy.action_heads.flow import PI0
from components.policy.action_heads.head import ActionHead, Batch, masked_mean
from components.policy.action_heads.interleaved_expert import ExpertSize, InterleavedExpert, Observed, copied
from components.policy.action_heads.loop import repeated
from components.policy.action_heads.times import TimeWaves, beta_times
from components.policy.losses import Loss
from components.policy.parts.segments import Context

STEPS = 10


class InterleavedFlow(ActionHead):
    """One token an action, noised and with its time.

    `draws`: noises and times that an observation is trained with at once, as the trunk has to read it only once.
    """

    flow_convention = PI0.name
    action_edges = ("action_in", "action_out")

    def __init__(self, action_dim: int, chunk: int, size: ExpertSize, *, draws: int = 1) -> None:
        super().__init__()
        width = size.width
        self.chunk, self.draws = chunk, draws
        self.noise_shape = (chunk, action_dim)
        self.action_in, self.action_out = nn.Linear(action_dim, width), nn.Linear(width, action_dim)
        self.with_time = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width))
        self.time = TimeWaves(width, PI0.times(STEPS))
        self.expert = InterleavedExpert(size)

    def loss(self, context: Context, batch: Batch) -> Loss:
        actions = batch["actions"].repeat_interleave(self.draws, dim=0)
        noise, time = torch.randn_like(actions), beta_times(actions.shape[0], actions.device)
        observed = copied(self.observe(context), self.draws)
        velocity = self.velocity(PI0.between(noise, actions, time), self.time(time), observed)
        error = velocity.float() - PI0.velocity(noise, actions)
        return masked_mean(error.square().unflatten(0, (-1, self.draws)).mean(dim=1), batch, "flow")

    def answer(self, context: Context, noise: Tensor | None = None) -> Tensor:
        if noise is None:
            raise ContractError("a flow starts from noise, and none was given")
        observed, length = self.observe(context), PI0.step(STEPS)

        def step(point: Tensor, number: Tensor) -> Tensor:
            return point + length * self.velocity(point, self.time.table.index_select(0, number), observed)

        return repeated(step, noise, STEPS)

    def velocity(self, point: Tensor, time: Tensor, observed: Observed) -> Tensor:
        """At `point` [B, H, A] and a time as `TimeWaves` says it: [B, W], or [1, W] for all."""
        actions = self.action_in(point)
        joined = torch.cat([actions, time.to(actions.dtype).unsqueeze(1).expand_as(actions)], dim=2)
        velocity: Tensor = self.action_out(self.expert(self.with_time(joined), observed))
        return velocity

    def observe(self, context: Context) -> Observed:
        return self.expert.observe(context.cache, context.seen, self.chunk)
