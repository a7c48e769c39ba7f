"""Batches of a loader as the policies of one or several robots take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.errors import ContractError
from components.dataset.loading.loader import Loader
from components.policy.bodies import all_cameras
from components.transforms.chain import PolicyTransforms

Arrays = dict[str, npt.NDArray[Any]]


class Robots:
    """The transforms of every robot of a loader, each applied to its own rows; what is padding stays 0.

    `transforms`: the workspace's own robot first; the order of `Bodies`. Of a single robot nothing is padded.
    """

    def __init__(self, transforms: Sequence[PolicyTransforms], loader: Loader) -> None:
        self._transforms = tuple(transforms)
        self._cameras = all_cameras([one.embodiment for one in transforms])
        self._pictures = tuple(loader.cameras)
        numbers = {one.embodiment.name: number for number, one in enumerate(transforms)}
        names = [part.dataset.embodiment.name for part in loader.episodes.parts]
        if missing := sorted(set(names) - set(numbers)):
            raise ContractError(f"no transforms of {missing[0]}, the loader holds {', '.join(sorted(set(names)))}")
        self._body = np.array([numbers[name] for name in names])

    def images(self, batch: Arrays) -> npt.NDArray[np.uint8]:
        """uint8 [B, K, px, px, 3] by the cameras of all robots, whichever of them the loader knows."""
        images: npt.NDArray[np.uint8] = batch["images"]
        if self._pictures == self._cameras:
            return images
        out = np.zeros((len(images), len(self._cameras), *images.shape[2:]), np.uint8)
        for place, camera in enumerate(self._pictures):
            out[:, self._cameras.index(camera)] = images[:, place]
        return out

    def state(self, batch: Arrays) -> npt.NDArray[np.float32]:
        """float32 [B, S], normalised."""
        out = np.zeros(batch["state"].shape, np.float32)
        for one, rows in self._rows(batch):
            width = len(one.embodiment.observation.state_names)
            out[rows, ..., :width] = one.state.apply(batch["state"][rows][..., :width])
        return out

    def actions(self, batch: Arrays) -> npt.NDArray[np.float32]:
        """float32 [B, H, A], normalised."""
        out = np.zeros(batch["actions"].shape, np.float32)
        for one, rows in self._rows(batch):
            width = one.embodiment.action.dim
            out[rows, ..., :width] = one.normalise_actions(batch["actions"][rows][..., :width])
        return out

    def body(self, batch: Arrays) -> Arrays:
        """{"body": int64 [B]}: the number of each row's robot; nothing where there is only one."""
        return {"body": self._body[batch["source"]]} if len(self._transforms) > 1 else {}

    def _rows(self, batch: Arrays) -> list[tuple[PolicyTransforms, Any]]:
        if len(self._transforms) == 1:
            return [(self._transforms[0], slice(None))]
        body = self._body[batch["source"]]
        rows = [np.flatnonzero(body == number) for number in range(len(self._transforms))]
        # Without rows of a robot the batch may be narrower than it.
        return [(one, found) for one, found in zip(self._transforms, rows, strict=True) if len(found)]
