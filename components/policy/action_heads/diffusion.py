"""Actions by diffusion (Ho et al. 2020): the network learns the noise on them, and answers by taking noise off."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.core.errors import ContractError
from components.policy.action_heads.head import ActionHead, Batch, masked_mean
from components.policy.action_heads.schedules import DiffusionSchedule
from components.policy.losses import Loss
from components.policy.parts.segments import SLOTS, Context


class DiffusionHead(ActionHead):
    """Loss and sampling of every head that diffuses; what it reads and how it denoises is that of its classes.

    `steps`: of an answer, evenly over all times, DDIM without noise of its own: the start noise decides the answer.
    `draws`: times and noises a window in a training step; what was made of the observation is used for all of them.
    Times are drawn uniformly, several of one window from as many equal parts of them, so that a step sees all levels.
    """

    def __init__(self, schedule: DiffusionSchedule, chunk: int, action_dim: int, *, steps: int, draws: int = 1) -> None:
        super().__init__()
        self.schedule, self.steps, self.draws = schedule, steps, draws
        self.chunk, self.action_dim = chunk, action_dim
        self.noise_shape = (chunk, action_dim)
        times = torch.tensor(schedule.times(steps), device="cpu")
        self.register_buffer("times", times, persistent=False)

    def seen(self, context: Context) -> Tensor:
        """What conditions the denoising, [B, F]: the same at every time."""
        raise NotImplementedError

    def at(self, time: Tensor) -> Tensor:
        """int64 [N] -> [N, F]: what is added to `seen` at that time."""
        raise NotImplementedError

    def predict(self, point: Tensor, given: Tensor) -> Tensor:
        """`point` [B, H, A], `given` [B, F] of both -> what `schedule` is to be given, [B, H, A]."""
        raise NotImplementedError

    def loss(self, context: Context, batch: Batch) -> Loss:
        actions, seen = batch["actions"], self.seen(context)
        times = self._drawn_times(actions.shape[0], actions.device)
        actions, seen = actions.repeat(self.draws, 1, 1), seen.repeat(self.draws, 1)
        noise = torch.randn_like(actions)
        predicted = self.predict(self.schedule.noisy(actions, noise, times), seen + self.at(times))
        error = functional.mse_loss(predicted.float(), self.schedule.target(actions, noise), reduction="none")
        return masked_mean(error.unflatten(0, (self.draws, -1)).mean(0), batch, "noise_mse")

    def _drawn_times(self, rows: int, device: torch.device) -> Tensor:
        """int64 [draws * rows], each uniform; the draws of a window lie in as many equal parts of all times."""
        part = torch.arange(self.draws, device=device).unsqueeze(1)
        share = (part + torch.rand(self.draws, rows, device=device)) / self.draws
        return (share * self.schedule.steps).long().clamp(max=self.schedule.steps - 1).flatten()

    def answer(self, context: Context, noise: Tensor | None = None) -> Tensor:
        if noise is None:
            raise ContractError("a diffusion begins with noise, and none was given", hint="Give [B, *noise_shape]")
        seen, at = self.seen(context), self.at(self.get_buffer("times"))

        def denoise(point: Tensor, number: Tensor) -> Tensor:
            return self.predict(point, seen + at.index_select(0, number))

        return self.schedule.sample(denoise, noise, self.steps)


class FourierTime(nn.Module):
    """A time as waves of learned frequencies, through an MLP (Octo)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.frequencies = nn.Parameter(torch.randn(width // 2) * 0.2)
        self.layers = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))

    def forward(self, time: Tensor) -> Tensor:
        """int64 [N] -> [N, width]."""
        angles = 2.0 * math.pi * time.to(self.frequencies.dtype).unsqueeze(1) * self.frequencies
        waves: Tensor = self.layers(torch.cat([angles.cos(), angles.sin()], dim=1))
        return waves


class ResidualBlock(nn.Module):
    """Norm, four times as wide, SiLU, back, and the way around."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, hidden: Tensor) -> Tensor:
        """[B, width] -> [B, width]."""
        out: Tensor = hidden + self.down(functional.silu(self.up(self.norm(hidden))))
        return out


class ReadoutDiffusion(DiffusionHead):
    """An MLP over the whole chunk at once, given the mean of the readout tokens (Octo Model Team 2024).

    The trunk carries `slots` readouts, empty but for their places, and is asked once an answer: only the MLP is asked
    at every step. Its first layer over time, readout and actions is kept as one matrix each, so that those of the first
    two are applied once.
    """

    action_edges = ("actions", "last")
    rows = ("last.weight", "last.bias")

    def __init__(
        self,
        trunk_width: int,
        schedule: DiffusionSchedule,
        chunk: int,
        action_dim: int,
        *,
        steps: int,
        draws: int = 1,
        slots: int = 1,
        width: int = 256,
        blocks: int = 3,
        time_width: int = 32,
    ) -> None:
        super().__init__(schedule, chunk, action_dim, steps=steps, draws=draws)
        self.slots = slots
        self.register_buffer("empty", torch.zeros(1, slots, trunk_width), persistent=False)
        self.time = FourierTime(time_width)
        self.readout = nn.Linear(trunk_width, width)
        self.moment = nn.Linear(time_width, width, bias=False)
        self.actions = nn.Linear(chunk * action_dim, width, bias=False)
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))
        self.last = nn.Linear(width, chunk * action_dim)

    def slot_tokens(self, batch: int) -> Tensor:
        return self.get_buffer("empty").expand(batch, -1, -1)

    def seen(self, context: Context) -> Tensor:
        read: Tensor = self.readout(context[SLOTS].mean(1))
        return read

    def at(self, time: Tensor) -> Tensor:
        moment: Tensor = self.moment(self.time(time))
        return moment

    def predict(self, point: Tensor, given: Tensor) -> Tensor:
        hidden = self.blocks(self.actions(point.flatten(1)) + given)
        out: Tensor = self.last(functional.silu(hidden))
        return out.unflatten(1, (self.chunk, self.action_dim))
