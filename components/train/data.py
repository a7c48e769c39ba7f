"""Windows of the dataset become batches of tensors, in an order that only seed and step decide."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from components.dataset.loading.loader import Loader
from components.train.augment import Augmentation
from components.transforms.chain import PolicyTransforms

# Keeps the augmentation's random numbers apart from those of the order of windows.
_AUGMENT = 7919


# Batches that are made while the policy learns from the one before.
_AHEAD = 2


class TrainingStream:
    """The batches of steps 0 .. steps - 1: one epoch after the other, without a seam between them.

    They are made ahead by a thread: numpy and torch let each other work.
    """

    def __init__(self, windows: Windows, augmentation: Augmentation, *, seed: int, steps: int, batch_size: int) -> None:
        self._windows, self._augmentation = windows, augmentation
        self._seed, self._steps, self._batch_size = seed, steps, batch_size

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as thread:
            made = deque(thread.submit(self.batch, step) for step in range(min(_AHEAD, self._steps)))
            for step in range(self._steps):
                batch = made.popleft().result()
                if step + _AHEAD < self._steps:
                    made.append(thread.submit(self.batch, step + _AHEAD))
                yield batch

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of one step: a pure function of the episodes, the seed and the step."""
        generator = np.random.Generator(np.random.PCG64([_AUGMENT, self._seed, step]))
        return self._windows.tensors(step * self._batch_size, self._batch_size, self._augmentation, generator)


class ValidationStream:
    """Every window once, by episode_id and time, as it was recorded."""

    def __init__(self, windows: Windows, batch_size: int) -> None:
        self._windows, self._batch_size = windows, batch_size

    def __len__(self) -> int:
        return math.ceil(len(self._windows) / self._batch_size)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for start in range(0, len(self._windows), self._batch_size):
            yield self._windows.tensors(start, min(self._batch_size, len(self._windows) - start))


class Windows:
    """A loader seen through the transforms of the policy.

    `weights` float32 [E]: what a window of each episode of the loader counts; without them batches hold no weight.
    """

    def __init__(
        self,
        loader: Loader,
        transforms: PolicyTransforms,
        *,
        blind: bool = False,
        weights: npt.NDArray[np.float32] | None = None,
    ) -> None:
        self._loader, self._transforms, self._blind, self._weights = loader, transforms, blind, weights
        self._tokens = transforms.tokens.apply(loader.instructions)

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
        images, state = batch["images"], self._transforms.state.apply(batch["state"])
        if augmentation is not None and generator is not None:
            # The noise on the state is drawn first: it is then the same whether or not the policy looks at images.
            state = augmentation.state(state, generator)
            images = images if self._blind else augmentation.images(images, generator)
        arrays: dict[str, npt.NDArray[Any]] = {
            "images": images,
            "state": state,
            "tokens": self._tokens[batch["instruction"]],
            "actions": self._transforms.normalise_actions(batch["actions"]),
            "mask": (~batch["actions_is_pad"]).astype(np.float32),
        }
        if self._weights is not None:
            arrays["weight"] = self._weights[batch["episode"]]
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


class PolicyData(LightningDataModule):
    """Hands the two streams to the trainer. They are no `DataLoader`s: the loader's threads read ahead of them."""

    def __init__(self, train: TrainingStream, val: ValidationStream) -> None:
        super().__init__()
        self._train, self._val = train, val

    def train_dataloader(self) -> TrainingStream:
        return self._train

    def val_dataloader(self) -> ValidationStream:
        return self._val
