"""Flow matching (Lipman et al. 2023): from noise to actions along a straight line, in either of the two conventions.

Two are in use and each is the other's mirror image; weights of one mean nothing in the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class FlowConvention:
    """Where on the line from noise to actions a time lies: `noise_at` and `actions_at` are its ends."""

    name: str
    noise_at: float
    actions_at: float

    def between(self, noise: Tensor, actions: Tensor, time: Tensor) -> Tensor:
        """The point of `time` [B] on the line, [B, H, A]."""
        share = ((time - self.noise_at) / (self.actions_at - self.noise_at))[:, None, None]
        return (1.0 - share) * noise + share * actions

    def velocity(self, noise: Tensor, actions: Tensor) -> Tensor:
        """d x / d time, what is learnt."""
        return (actions - noise) / (self.actions_at - self.noise_at)

    def times(self, steps: int) -> list[float]:
        """The times at which `integrate` asks for a velocity."""
        return [self.noise_at + step * self.step(steps) for step in range(steps)]

    def step(self, steps: int) -> float:
        return (self.actions_at - self.noise_at) / steps

    def integrate(self, field: Callable[[Tensor, int], Tensor], noise: Tensor, steps: int) -> Tensor:
        """Euler's method from the noise to the actions; `field`(x, number of the step) is the velocity there."""
        point = noise
        for number in range(steps):
            point = point + self.step(steps) * field(point, number)
        return point


# π0 and SmolVLA: time 1 is noise, time 0 are the actions, the velocity is noise - actions.
PI0 = FlowConvention("pi0", noise_at=1.0, actions_at=0.0)
# GR00T N1: time 0 is noise, time 1 are the actions, the velocity is actions - noise.
GR00T = FlowConvention("gr00t", noise_at=0.0, actions_at=1.0)


def convention_of(policy: nn.Module) -> str:
    """The name of the convention that a policy answers by, as its head says it; "" for one without a flow."""
    return str(getattr(getattr(policy, "head", None), "flow_convention", ""))
