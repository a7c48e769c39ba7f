"""How much noise a diffusion puts on actions at which of its times, and how it is taken off again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from components.core.errors import ContractError
from components.policy.action_heads.loop import repeated

Prediction = Literal["epsilon", "sample"]
Variance = Literal["small", "large"]

# Nichol and Dhariwal (2021): keeps the first steps from being too small, and the last one from a division by zero.
_OFFSET, _LARGEST_BETA = 0.008, 0.999


def linear_betas(steps: int, first: float = 1e-4, last: float = 0.02) -> list[float]:
    """Ho et al. (2020)."""
    return [first + (last - first) * step / (steps - 1) for step in range(steps)] if steps > 1 else [first]


def cosine_betas(steps: int) -> list[float]:
    """A squared cosine (Nichol and Dhariwal 2021): diffusers' `squaredcos_cap_v2`, and Octo's schedule."""

    def kept(share: float) -> float:
        return math.cos((share + _OFFSET) / (1.0 + _OFFSET) * math.pi / 2.0) ** 2

    return [min(1.0 - kept((step + 1) / steps) / kept(step / steps), _LARGEST_BETA) for step in range(steps)]


class DiffusionSchedule(nn.Module):
    """Times 0 .. len(`betas`) - 1, 0 the one with the least noise.

    `predicts`: what the network answers with, the noise ("epsilon") or the clean actions ("sample"); `clip`: clean
    actions are cut to that on both sides at every step, None for no cut. The factors of a step are Python numbers: in
    an exported graph they are constants.
    """

    kept: Tensor

    def __init__(self, betas: Sequence[float], *, predicts: Prediction = "epsilon", clip: float | None = 1.0) -> None:
        super().__init__()
        self.steps, self.predicts, self.clip = len(betas), predicts, clip
        # In single precision, as the published weights were trained. On the CPU even in a policy without memory.
        kept = torch.cumprod(1.0 - torch.tensor(betas, dtype=torch.float32, device="cpu"), dim=0)
        self.register_buffer("kept", kept, persistent=False)
        self._kept: tuple[float, ...] = tuple(kept.tolist())

    def noisy(self, actions: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        """`actions` and `noise` [B, H, A] at `time` int64 [B]."""
        kept = self.kept[time].view(-1, 1, 1)
        return kept.sqrt() * actions + (1.0 - kept).sqrt() * noise

    def target(self, actions: Tensor, noise: Tensor) -> Tensor:
        """What the network is to answer."""
        return noise if self.predicts == "epsilon" else actions

    def times(self, steps: int) -> list[int]:
        """`steps` of all times, evenly apart, down to 0: the "leading" spacing of Song et al. (2021) and diffusers.

        Raises `ContractError` for more steps than there are times.
        """
        if not 1 <= steps <= self.steps:
            raise ContractError(
                f"{steps} steps of a diffusion of {self.steps} times", hint=f"Ask for 1 to {self.steps}"
            )
        apart = self.steps // steps
        return [place * apart for place in reversed(range(steps))]

    def implicit_step(self, predicted: Tensor, point: Tensor, time: int, before: int) -> Tensor:
        """From `time` to the earlier time `before`, -1 for no noise at all (DDIM with eta 0, Song et al. 2021)."""
        return self._implicit(predicted, point, *self._factors(time, before))

    def ancestral_step(
        self, predicted: Tensor, point: Tensor, time: int, before: int, noise: Tensor, variance: Variance = "small"
    ) -> Tensor:
        """As `implicit_step`, and draws: mean and variance of the posterior (DDPM, Ho et al. 2020).

        `noise` [B, H, A] is not used in the step to -1; `variance`: the posterior's, or beta itself ("large", Octo).
        """
        kept, kept_before = self._kept[time], self._kept_at(before)
        beta = 1.0 - kept / kept_before
        clean = self._clean(predicted, point, math.sqrt(kept), math.sqrt(1.0 - kept))
        mean = math.sqrt(kept_before) * beta / (1.0 - kept) * clean
        mean = mean + math.sqrt(1.0 - beta) * (1.0 - kept_before) / (1.0 - kept) * point
        if before < 0:
            return mean
        spread = beta if variance == "large" else beta * (1.0 - kept_before) / (1.0 - kept)
        return mean + math.sqrt(spread) * noise

    def sample(self, denoise: Callable[[Tensor, Tensor], Tensor], noise: Tensor, steps: int) -> Tensor:
        """From noise [B, H, A] to actions by `steps` implicit steps; `denoise`(point, number of the step [1])."""
        times = self.times(steps)
        rows = [self._factors(time, before) for time, before in zip(times, [*times[1:], -1], strict=True)]
        factors = torch.tensor(rows, dtype=noise.dtype, device=noise.device)

        def step(point: Tensor, number: Tensor) -> Tensor:
            return self._implicit(denoise(point, number), point, *factors.index_select(0, number)[0].unbind())

        return repeated(step, noise, steps)

    def _factors(self, time: int, before: int) -> tuple[float, float, float, float]:
        """How much of the actions, and of the noise, there is at `time` and at `before`."""
        kept, kept_before = self._kept[time], self._kept_at(before)
        return math.sqrt(kept), math.sqrt(1.0 - kept), math.sqrt(kept_before), math.sqrt(1.0 - kept_before)

    def _implicit(
        self,
        predicted: Tensor,
        point: Tensor,
        actions: Tensor | float,
        noise: Tensor | float,
        actions_before: Tensor | float,
        noise_before: Tensor | float,
    ) -> Tensor:
        clean = self._clean(predicted, point, actions, noise)
        found = predicted if self.predicts == "epsilon" else (point - actions * predicted) / noise
        return actions_before * clean + noise_before * found

    def _clean(self, predicted: Tensor, point: Tensor, actions: Tensor | float, noise: Tensor | float) -> Tensor:
        """The actions that a prediction at `point` [B, H, A] stands for, cut to `clip`."""
        found = predicted if self.predicts == "sample" else (point - noise * predicted) / actions
        return found if self.clip is None else found.clamp(-self.clip, self.clip)

    def _kept_at(self, time: int) -> float:
        return self._kept[time] if time >= 0 else 1.0
