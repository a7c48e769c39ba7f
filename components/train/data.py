"""Windows of the dataset become batches of tensors, in an order that only seed and step decide."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from components.dataset.loader import WindowStore
from components.train.augment import Augmentation
from components.transforms.chain import PolicyTransforms

# Keeps the augmentation's random numbers apart from those of the order of windows.
_AUGMENT = 7919


class TrainingStream:
    """The batches of steps 0 .. steps - 1: one epoch after the other, without a seam between them."""

    def __init__(self, windows: Windows, augmentation: Augmentation, *, seed: int, steps: int, batch_size: int) -> None:
        self._windows, self._augmentation = windows, augmentation
        self._seed, self._steps, self._batch_size = seed, steps, batch_size

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for step in range(self._steps):
            yield self.batch(step)

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of one step: a pure function of the store, the seed and the step."""
        indices = batch_indices(self._windows.store, self._seed, step, self._batch_size)
        generator = np.random.Generator(np.random.PCG64([_AUGMENT, self._seed, step]))
        return self._windows.tensors(indices, self._augmentation, generator)


class ValidationStream:
    """Every window once, in the order of the store, as it was recorded."""

    def __init__(self, windows: Windows, batch_size: int) -> None:
        self._windows, self._batch_size = windows, batch_size

    def __len__(self) -> int:
        return math.ceil(len(self._windows.store) / self._batch_size)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        count = len(self._windows.store)
        for start in range(0, count, self._batch_size):
            yield self._windows.tensors(np.arange(start, min(start + self._batch_size, count)))


class Windows:
    """A store seen through the transforms of the policy."""

    def __init__(self, store: WindowStore, transforms: PolicyTransforms, *, blind: bool = False) -> None:
        self.store, self._transforms, self._blind = store, transforms, blind
        self._tokens = transforms.tokens.apply(store.instructions)

    def tensors(
        self,
        indices: npt.NDArray[np.int64],
        augmentation: Augmentation | None = None,
        generator: np.random.Generator | None = None,
    ) -> dict[str, Tensor]:
        """The windows at `indices` as the policy takes them, with targets (`PolicyTraining` lists the shapes)."""
        batch = self.store.batch(indices)
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
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def batch_indices(store: WindowStore, seed: int, step: int, batch_size: int) -> npt.NDArray[np.int64]:
    """Which windows [batch_size] a step sees: positions in the endless row of permuted epochs."""
    positions = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs, places = np.divmod(positions, len(store))
    parts = [_order(store, seed, int(epoch))[places[epochs == epoch]] for epoch in np.unique(epochs)]
    return np.concatenate(parts)


@lru_cache(maxsize=4)
def _order(store: WindowStore, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    return store.order(seed, epoch)


class PolicyData(LightningDataModule):
    """Hands the two streams to the trainer. They are no `DataLoader`s: all frames lie decoded in memory."""

    def __init__(self, train: TrainingStream, val: ValidationStream) -> None:
        super().__init__()
        self._train, self._val = train, val

    def train_dataloader(self) -> TrainingStream:
        return self._train

    def val_dataloader(self) -> ValidationStream:
        return self._val
