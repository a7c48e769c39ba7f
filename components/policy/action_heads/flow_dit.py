"""The action head of GR00T N1 (NVIDIA 2025): a flow from noise to actions, its velocity told by a transformer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.core.errors import ContractError
from components.policy.action_heads.dit import BUCKETS, Dit, DitSize, Memory, time_sines
from components.policy.action_heads.flow import GR00T
from components.policy.action_heads.head import ActionHead, Batch, masked_mean
from components.policy.action_heads.loop import repeated
from components.policy.losses import Loss
from components.policy.parts.masks import additive
from components.policy.parts.segments import Context

STEPS = 4
# Times of training are 1 - b / 0.999 with b of Beta(1.5, 1): mostly near the noise.
_BETA, _TIME_SCALE = 1.5, 0.999


class ActionEncoder(nn.Module):
    """Noised actions and their time to tokens; all three layers belong to one robot."""

    sines: Tensor

    def __init__(self, action_dim: int, width: int) -> None:
        super().__init__()
        self.register_buffer("sines", time_sines(width, 0, cosines_first=False), persistent=False)
        self.action, self.both, self.last = (
            nn.Linear(action_dim, width), nn.Linear(2 * width, width), nn.Linear(width, width),
        )  # fmt: skip

    def forward(self, actions: Tensor, bucket: Tensor) -> Tensor:
        """[B, H, A], int64 [B] or [1] -> [B, H, W]."""
        embedded = self.action(actions)
        time = self.sines[bucket].unsqueeze(1).expand(embedded.shape[0], embedded.shape[1], -1)
        tokens: Tensor = self.last(functional.silu(self.both(torch.cat([embedded, time], dim=2))))
        return tokens


class FlowDit(ActionHead):
    """A token of the state and one an action, among which and the trunk's tokens a `Dit` looks.

    `hidden`: width inside the encoder of the state and the decoder of actions; `longest`: actions that have a place;
    `draws`: noises and times that an observation is trained with at once, as the trunk has to read it only once.
    """

    flow_convention = GR00T.name
    state_edges = ("state_encoder",)
    action_edges = ("action_encoder", "action_decoder")

    times: Tensor

    def __init__(
        self, trunk_width: int, state_dim: int, action_dim: int, chunk: int, size: DitSize, *,
        hidden: int, longest: int, draws: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        if chunk > longest:
            raise ContractError(
                f"a chunk of {chunk} actions, where there are places for {longest}", hint="Lower train.chunk"
            )
        self.noise_shape, self.draws = (chunk, action_dim), draws
        self.read = nn.Linear(trunk_width, size.width)
        self.state_encoder = nn.Sequential(nn.Linear(state_dim, hidden), nn.ReLU(), nn.Linear(hidden, size.width))
        self.action_encoder = ActionEncoder(action_dim, size.width)
        self.action_decoder = nn.Sequential(nn.Linear(size.out, hidden), nn.ReLU(), nn.Linear(hidden, action_dim))
        self.places = nn.Parameter(torch.randn(longest, size.width) * 0.02)
        self.dit = Dit(size)
        self.register_buffer("times", buckets(torch.tensor(GR00T.times(STEPS), device="cpu")), persistent=False)

    def loss(self, context: Context, batch: Batch) -> Loss:
        actions = batch["actions"].repeat_interleave(self.draws, dim=0)
        noise, time = torch.randn_like(actions), drawn_times(actions.shape[0], actions.device)
        point = GR00T.between(noise, actions, time)
        state, memory, mask = self.observe(context, self.draws)
        error = self.velocity(point, buckets(time), state, memory, mask).float() - GR00T.velocity(noise, actions)
        return masked_mean(error.square().unflatten(0, (-1, self.draws)).mean(dim=1), batch, "flow")

    def answer(self, context: Context, noise: Tensor | None = None) -> Tensor:
        if noise is None:
            raise ContractError("a flow starts from noise, and none was given")
        seen, length = self.observe(context), GR00T.step(STEPS)

        def step(point: Tensor, number: Tensor) -> Tensor:
            return point + length * self.velocity(point, self.times.index_select(0, number), *seen)

        return repeated(step, noise, STEPS)

    def velocity(
        self, point: Tensor, bucket: Tensor, state: Tensor, memory: list[Memory | None], mask: Tensor
    ) -> Tensor:
        """At `point` [B, H, A] and a time: int64 [B], or [1] for all."""
        actions = self.action_encoder(point, bucket) + self.places[: point.shape[1]]
        answered = self.dit(torch.cat([state, actions], dim=1), bucket, memory, mask)
        velocity: Tensor = self.action_decoder(answered)[:, 1:]
        return velocity

    def observe(self, context: Context, times: int = 1) -> tuple[Tensor, list[Memory | None], Tensor]:
        """What every step needs of the observation: the state's token, memories of the blocks, their mask.

        `times`: how often each row is needed.
        """
        hidden, seen = context.hidden()
        tokens, state = self.read(hidden), self.state_encoder(context.state).unsqueeze(1)
        memory, mask = self.dit.remember(tokens), additive(seen[:, None, None, :], tokens.dtype)
        if times == 1:
            return state, memory, mask
        again = [None if one is None else (_rows(one[0], times), _rows(one[1], times)) for one in memory]
        return _rows(state, times), again, _rows(mask, times)


def drawn_times(count: int, device: torch.device) -> Tensor:
    """[count] for training; the inverse of the distribution function makes Beta(1.5, 1) of uniform numbers."""
    return 1.0 - torch.rand(count, device=device) ** (1.0 / _BETA) / _TIME_SCALE


def buckets(time: Tensor) -> Tensor:
    """int64: the thousandth that a time lies in; those a little before 0 are in the first."""
    return (time * BUCKETS).long().clamp(0, BUCKETS - 1)


def _rows(values: Tensor, times: int) -> Tensor:
    return values.repeat_interleave(times, dim=0)
