"""A U-Net along the time of a chunk, conditioned by FiLM: the denoiser of Diffusion Policy (Chi et al. 2023)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.policy.action_heads.diffusion import DiffusionHead
from components.policy.action_heads.schedules import DiffusionSchedule
from components.policy.heads import SumOfSources
from components.policy.parts.segments import STATE, VIEWS, Context


def mish(features: Tensor) -> Tensor:
    """x tanh(softplus(x)); written out for a graph, as the runtime for CPUs has no kernel of that name."""
    if torch.compiler.is_exporting():
        return features * functional.softplus(features).tanh()
    return functional.mish(features)


class Mish(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return mish(features)


def smooth(channels_in: int, channels: int, kernel: int, groups: int) -> nn.Sequential:
    """Convolution, group norm, Mish."""
    conv = nn.Conv1d(channels_in, channels, kernel, padding=kernel // 2)
    return nn.Sequential(conv, nn.GroupNorm(groups, channels), Mish())


class FilmBlock(nn.Module):
    """Two convolutions with FiLM (scale, then shift) in between, and a way around them."""

    def __init__(self, channels_in: int, channels: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.before = smooth(channels_in, channels, kernel, groups)
        self.after = smooth(channels, channels, kernel, groups)
        same = channels_in == channels
        self.around: nn.Module = nn.Identity() if same else nn.Conv1d(channels_in, channels, 1)
        self.modulated = 2 * channels

    def forward(self, hidden: Tensor, film: Tensor) -> Tensor:
        """hidden [B, channels_in, T], film [B, 2 * channels] -> [B, channels, T]."""
        scale, shift = film.unsqueeze(2).chunk(2, dim=1)
        out: Tensor = self.after(scale * self.before(hidden) + shift) + self.around(hidden)
        return out


class UNet1d(nn.Module):
    """`widths`: of the levels, each half as long as the one before. `modulated`: numbers of FiLM of all blocks."""

    def __init__(self, action_dim: int, widths: Sequence[int], kernel: int, groups: int) -> None:
        super().__init__()

        def pair(channels_in: int, channels: int) -> nn.ModuleList:
            return nn.ModuleList(FilmBlock(size, channels, kernel, groups) for size in (channels_in, channels))

        befores = (action_dim, *widths[:-1])
        self.down = nn.ModuleList(pair(before, width) for before, width in zip(befores, widths, strict=True))
        self.shorter = nn.ModuleList(nn.Conv1d(width, width, 3, 2, 1) for width in widths[:-1])
        self.middle = pair(widths[-1], widths[-1])
        ups = list(pairwise(widths))[::-1]
        self.up = nn.ModuleList(pair(2 * wider, width) for width, wider in ups)
        self.longer = nn.ModuleList(nn.ConvTranspose1d(width, width, 4, 2, 1) for width, _ in ups)
        self.smooth = smooth(widths[0], widths[0], kernel, groups)
        self.last = nn.Conv1d(widths[0], action_dim, 1)
        self.films = [block.modulated for block in self.modules() if isinstance(block, FilmBlock)]
        self.modulated, self.multiple = sum(self.films), 2 ** len(self.shorter)

    def forward(self, point: Tensor, film: Tensor) -> Tensor:
        """point [B, H, A], film [B, modulated] -> [B, H, A]; H of any length: it is filled up and cut."""
        steps = point.shape[1]
        hidden = functional.pad(point.transpose(1, 2), (0, -steps % self.multiple))
        films = iter(film.split(self.films, dim=1))
        kept = []
        for level, blocks in enumerate(self.down):
            hidden = _through(blocks, hidden, films)
            kept.append(hidden)
            if level < len(self.shorter):
                hidden = self.shorter[level](hidden)
        hidden = _through(self.middle, hidden, films)
        # What the first level kept is not used, as published.
        for blocks, longer in zip(self.up, self.longer, strict=True):
            hidden = longer(_through(blocks, torch.cat([hidden, kept.pop()], dim=1), films))
        return self.last(self.smooth(hidden)).transpose(1, 2)[:, :steps]


def _through(blocks: nn.Module, hidden: Tensor, films: Iterator[Tensor]) -> Tensor:
    for block in blocks.children():
        hidden = block(hidden, next(films))
    return hidden


class UNetDiffusion(DiffusionHead):
    """A U-Net given the state and the features of every camera, as they are.

    `cameras`: key -> features; each has a matrix of its own, as has the state, so that another robot may have others.
    All the FiLM of an answer is made before its first step.
    """

    state_edges = ("film.sources.state",)
    action_edges = ("unet.down.0.0.before.0", "unet.down.0.0.around", "unet.last")
    # Those of all times, [T, time_width].
    waves: Tensor

    def __init__(
        self,
        schedule: DiffusionSchedule,
        chunk: int,
        action_dim: int,
        *,
        state_dim: int,
        cameras: Mapping[str, int],
        widths: Sequence[int],
        steps: int,
        draws: int = 1,
        kernel: int = 5,
        groups: int = 8,
        time_width: int = 128,
    ) -> None:
        super().__init__(schedule, chunk, action_dim, steps=steps, draws=draws)
        self.unet = UNet1d(action_dim, widths, kernel, groups)
        self.cameras = tuple(cameras)
        self.register_buffer("waves", time_waves(schedule.steps, time_width), persistent=False)
        self.time = nn.Sequential(
            nn.Linear(time_width, 4 * time_width), Mish(), nn.Linear(4 * time_width, time_width), Mish()
        )
        self.moment = nn.Linear(time_width, self.unet.modulated, bias=False)
        self.film = SumOfSources({STATE: state_dim, **cameras}, self.unet.modulated)

    def seen(self, context: Context) -> Tensor:
        views = context[VIEWS].unbind(1)
        sources = {STATE: context.state, **dict(zip(self.cameras, views, strict=True))}
        film: Tensor = self.film({name: mish(values) for name, values in sources.items()})
        return film

    def at(self, time: Tensor) -> Tensor:
        moment: Tensor = self.moment(self.time(self.waves[time]))
        return moment

    def predict(self, point: Tensor, given: Tensor) -> Tensor:
        out: Tensor = self.unet(point, given)
        return out


def time_waves(count: int, width: int) -> Tensor:
    """[count, width]: sines, then cosines, of the times 0 .. count - 1 (Vaswani et al. 2017)."""
    half = width // 2
    rates = torch.exp(torch.arange(half, dtype=torch.float32, device="cpu") * (-math.log(10000.0) / (half - 1)))
    angles = torch.arange(count, dtype=torch.float32, device="cpu")[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)
