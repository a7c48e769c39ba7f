"""Diffusion Policy, the convolutional one."""

from __future__ import annotations

from collections.abc import Sequence

from components.policy.action_heads.schedules import DiffusionSchedule, cosine_betas
from components.policy.action_heads.unet import UNetDiffusion
from components.policy.adapters import Adapters
from components.policy.parts.eyes import EyeByCamera, PassedOn
from components.policy.parts.keypoints import KeypointEye
from components.policy.parts.no_trunk import NoTrunk
from components.policy.parts.policy import Parts, VlaPolicy
from components.policy.parts.segments import VIEWS
from components.policy.shape import Shape

# While it trains, and for an answer.
_TIMES, _STEPS = 100, 10


def published(shape: Shape, *, blind: bool = False, wordless: bool = False) -> VlaPolicy:
    parts = _parts(shape, channels=64, widths=(512, 1024, 2048))
    return VlaPolicy(shape, parts, blind=blind, wordless=wordless)


def small(shape: Shape, *, blind: bool = False, wordless: bool = False) -> VlaPolicy:
    """For one core; more draws, as the U-Net costs little beside the cameras."""
    parts = _parts(shape, channels=16, widths=(96, 192), draws=8)
    return VlaPolicy(shape, parts, blind=blind, wordless=wordless)


def _parts(shape: Shape, *, channels: int, widths: Sequence[int], draws: int = 1) -> Parts:
    tower = EyeByCamera(shape.embodiment.observation.cameras, lambda: KeypointEye(shape.image_px, channels=channels))
    head = UNetDiffusion(
        DiffusionSchedule(cosine_betas(_TIMES)),
        shape.chunk,
        shape.action_dim,
        state_dim=shape.state_dim,
        cameras=dict.fromkeys(tower.keys, tower.dim),
        widths=widths,
        steps=_STEPS,
        draws=draws,
    )
    return Parts(
        tower=tower,
        connector=PassedOn(),
        trunk=NoTrunk(tower.dim),
        head=head,
        order=(VIEWS,),
        rules=(),
        adapters=Adapters(state=(), action=(), cameras=("tower.eyes", "head.film.sources")),
    )
