"""A few moments of held-out episodes, the same at every look: what the policy is asked, and what was recorded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from components.core.params import Train
from components.dataset.layout import ACTION
from components.dataset.loading.loader import Loader
from components.dataset.loading.pool import Batch
from components.dataset.loading.settings import LoaderSettings
from components.policy.bodies import Bodies
from components.train.data import Windows
from components.train.sides import Side
from components.transforms.chain import PolicyTransforms

EPISODES = 4
# Where in an episode, as shares of its length: its beginning and three later moments.
MOMENTS = (0.0, 0.3, 0.6, 0.85)


@dataclass(frozen=True, eq=False)
class Shown:
    """One episode. `recorded`: float [T, A] physical; `frames`: the n moments; `images`: uint8 [n, K, px, px, 3]."""

    title: str
    recorded: npt.NDArray[np.floating]
    frames: tuple[int, ...]
    images: npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Samples:
    """`inputs`: what the policy takes, the moments of one episode after those of the other [sum of n, ...]."""

    episodes: tuple[Shown, ...]
    cameras: tuple[str, ...]
    inputs: dict[str, Tensor]


class _Picked:
    """Some windows of a loader, in the place of all of them."""

    def __init__(self, loader: Loader, windows: Sequence[int]) -> None:
        rows = [loader.sample(window) for window in windows]
        self.instructions, self.cameras, self.episodes = loader.instructions, loader.cameras, loader.episodes
        self.whole: Batch = {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    def __len__(self) -> int:
        return len(self.whole["frame"])

    def batch(self, position: int, size: int) -> Batch:
        return {name: values[position : position + size] for name, values in self.whole.items()}


def pick_samples(side: Side, params: Train, transforms: PolicyTransforms) -> Samples:
    """Moments of up to `EPISODES` episodes, each of another task as far as there are so many.

    Of several robots, those of the one that `transforms` are of.
    """
    body = transforms.embodiment.name
    parts = [part for part in side.parts if part.dataset.embodiment.name == body]
    with Loader(parts, LoaderSettings(params.chunk, threads=1), seed=0, shuffle=False) as loader:
        columns = ["episode_index", "task", "instruction"]
        table = pd.concat([part.dataset.table(columns).take(part.rows).to_pandas() for part in parts])
        rows = choose_rows(table["task"].tolist())
        lengths = loader.episodes.length
        starts = np.cumsum(lengths) - lengths
        frames = [moments(int(lengths[row])) for row in rows]
        windows = [int(starts[row]) + frame for row, of_row in zip(rows, frames, strict=True) for frame in of_row]
        picked = _Picked(loader, windows)
        images = np.split(picked.whole["images"], np.cumsum([len(of_row) for of_row in frames])[:-1])
        shown = [
            Shown(_title(table.iloc[row]), _recorded(loader, row), of_row, pictures)
            for row, of_row, pictures in zip(rows, frames, images, strict=True)
        ]
        tensors = Windows(cast(Loader, picked), transforms).tensors(0, len(picked))
        return Samples(tuple(shown), loader.cameras, tensors)


def choose_rows(tasks: Sequence[str], most: int = EPISODES) -> list[int]:
    """Rows of `tasks`: the first of every task, then the second of every task, until there are `most`."""
    by_task: dict[str, list[int]] = defaultdict(list)
    for row, task in enumerate(tasks):
        by_task[task].append(row)
    rounds = zip_longest(*(by_task[task] for task in sorted(by_task)))
    return [row for row in chain.from_iterable(rounds) if row is not None][:most]


def moments(length: int) -> tuple[int, ...]:
    """Frames at `MOMENTS`, each once."""
    return tuple(sorted({int(moment * (length - 1)) for moment in MOMENTS}))


def own_policy(policy: torch.nn.Module) -> torch.nn.Module:
    """That of the workspace's own robot."""
    return policy.policies[0] if isinstance(policy, Bodies) else policy


@torch.no_grad()
def predictions(policy: torch.nn.Module, samples: Samples, transforms: PolicyTransforms) -> list[npt.NDArray]:
    """For each episode the chunks [n, H, A] that the policy gives at its moments, in physical units."""
    was_training = policy.training
    device = next((weight.device for weight in policy.parameters()), torch.device("cpu"))
    asked = {name: samples.inputs[name].to(device) for name in ("images", "state", "tokens")}
    answer = policy.eval()(**asked).float().cpu().numpy()
    policy.train(was_training)
    told = transforms.outputs(np.nan_to_num(answer))
    return np.split(told, np.cumsum([len(one.frames) for one in samples.episodes])[:-1])


def _title(row: object) -> str:
    return f'{row.task}, episode {row.episode_index}: "{row.instruction}"'  # type: ignore[attr-defined]


def _recorded(loader: Loader, row: int) -> npt.NDArray[np.floating]:
    dataset = loader.episodes.part_of(row).dataset
    return dataset.frames(int(loader.episodes.index[row]), [ACTION])[ACTION]
