"""Windows of the dataset become batches of tensors, in an order that only seed and step decide."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from components.dataset.loading.loader import Loader
from components.train.augment import Augmentation
from components.train.blame import Blame
from components.train.paraphrase import Phrasings
from components.train.robots import Robots
from components.train.teacher import TeacherPolicy
from components.transforms.chain import PolicyTransforms

# Keeps the augmentation's random numbers apart from those of the order of windows.
_AUGMENT = 7919


# Batches that are made while the policy learns from the one before.
_AHEAD = 2


class TrainingStream:
    """The batches of steps 0 .. steps - 1: one epoch after the other, without a seam between them.

    They are made ahead by a thread: numpy and torch let each other work. `windows` by lane: a batch of `batch_size` is
    put together from `lanes` rows in equal parts, of which this process makes those that it is given. Iteration begins
    at the step after those that were handed out when the state was written. `pin`: for copies to a GPU that run ahead.
    """

    def __init__(
        self,
        windows: Windows | Mapping[int, Windows],
        augmentation: Augmentation,
        *,
        seed: int,
        steps: int,
        batch_size: int,
        lanes: int = 1,
        pin: bool = False,
    ) -> None:
        self._windows = windows if isinstance(windows, Mapping) else {0: windows}
        self._augmentation, self._seed, self._steps = augmentation, seed, steps
        self._lanes, self._size, self._pin = lanes, batch_size // lanes, pin
        self._done = 0

    def __len__(self) -> int:
        return self._steps

    @property
    def blame(self) -> Blame:
        return next(iter(self._windows.values())).blame

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as thread:
            begin = self._done
            made = deque(thread.submit(self.batch, step) for step in range(begin, min(begin + _AHEAD, self._steps)))
            for step in range(begin, self._steps):
                batch = made.popleft().result()
                if step + _AHEAD < self._steps:
                    made.append(thread.submit(self.batch, step + _AHEAD))
                self._done = step + 1
                yield batch
        self._done = 0

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of one step: a pure function of the episodes, the seed and the step."""
        parts = [self._part(lane, step) for lane in sorted(self._windows)]
        batch = parts[0] if len(parts) == 1 else {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        return {name: tensor.pin_memory() for name, tensor in batch.items()} if self._pin else batch

    def state_dict(self) -> dict[str, int]:
        """What was handed out, not what was made ahead."""
        return {"done": self._done}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        self._done = int(state["done"])

    def _part(self, lane: int, step: int) -> dict[str, Tensor]:
        # A single lane draws what it drew before there were several.
        key = [_AUGMENT, self._seed, step] if self._lanes == 1 else [_AUGMENT, self._seed, step, lane]
        generator = np.random.Generator(np.random.PCG64(key))
        return self._windows[lane].tensors(step * self._size, self._size, self._augmentation, generator)


class ValidationStream:
    """Every window once, by episode_id and time, as it was recorded.

    Of `world` processes each takes an equal part of every batch; one that finds nothing left gives a masked window, so
    that all take part as often.
    """

    def __init__(self, windows: Windows, batch_size: int, *, rank: int = 0, world: int = 1) -> None:
        self._windows, self._batch_size = windows, batch_size
        self._first, self._size = rank * (batch_size // world), batch_size // world

    def __len__(self) -> int:
        return math.ceil(len(self._windows) / self._batch_size)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for start in range(0, len(self._windows), self._batch_size):
            first = start + self._first
            if first < len(self._windows):
                yield self._windows.tensors(first, min(self._size, len(self._windows) - first))
            else:
                nothing = self._windows.tensors(0, 1)
                yield nothing | {"mask": torch.zeros_like(nothing["mask"])}


class Windows:
    """A loader seen through the transforms of the policy, or of those of several robots, the workspace's own first.

    `weights` float32 [E]: what a window of each episode of the loader counts; without them batches hold no weight.
    `phrasings`, `teacher`: other words for some training windows, and what another policy would do in all of them.
    Raises `DatasetError` naming the episodes where a state or an action is no finite number.
    """

    def __init__(
        self,
        loader: Loader,
        *transforms: PolicyTransforms,
        blind: bool = False,
        weights: npt.NDArray[np.float32] | None = None,
        phrasings: Phrasings | None = None,
        teacher: TeacherPolicy | None = None,
    ) -> None:
        self._loader, self._robots, self._blind, self._weights = loader, Robots(transforms, loader), blind, weights
        self._phrasings, self._teacher = phrasings, teacher
        self.blame = Blame(loader.episodes)
        # All robots understand the same words.
        self._tokens = transforms[0].tokens.apply(loader.instructions)

    def __len__(self) -> int:
        return len(self._loader)

    def tensors(
        self,
        position: int,
        size: int,
        augmentation: Augmentation | None = None,
        generator: np.random.Generator | None = None,
    ) -> dict[str, Tensor]:
        """The windows from `position` on as the policy takes them, with targets (`PolicyTraining` lists the shapes)."""
        batch = self._loader.batch(position, size)
        images, state, told = self._robots.images(batch), self._robots.state(batch), batch["instruction"]
        if error := self.blame.values(batch["episode"], {"state": state, "actions": batch["actions"]}):
            raise error
        if augmentation is not None and generator is not None:
            # The noise on the state is drawn first: it is then the same whether or not the policy looks at images.
            state = augmentation.state(state, generator)
            if self._phrasings is not None:
                told = self._phrasings.draw(told, batch["episode"], generator)
            images = images if self._blind else augmentation.images(images, generator)
        arrays: dict[str, npt.NDArray[Any]] = {
            "images": images,
            "state": state,
            "tokens": self._tokens[told],
            "actions": self._robots.actions(batch),
            "mask": (~batch["actions_is_pad"]).astype(np.float32),
            "episode": batch["episode"],
            **self._robots.body(batch),
        }
        if self._teacher is not None:
            words = [self._loader.instructions[number] for number in batch["instruction"]]
            arrays["teacher"] = self._teacher.targets(batch["images"], batch["state"], words)
        if self._weights is not None:
            arrays["weight"] = self._weights[batch["episode"]]
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


class PolicyData(LightningDataModule):
    """Hands the two streams to the trainer. They are no `DataLoader`s: the loader's threads read ahead of them."""

    def __init__(self, train: TrainingStream, val: ValidationStream) -> None:
        super().__init__()
        self._train, self._val = train, val

    @property
    def blame(self) -> Blame:
        """Who the training windows are of."""
        return self._train.blame

    def train_dataloader(self) -> TrainingStream:
        return self._train

    def val_dataloader(self) -> ValidationStream:
        return self._val
