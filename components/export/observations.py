"""What a robot sends, many at once: parity is measured and warm-up examples are taken on these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Observations:
    """N observations as a robot sends them: images {camera: uint8 [N, H, W, 3]}, state float32 [N, S], instructions."""

    images: dict[str, npt.NDArray[np.uint8]]
    state: npt.NDArray[np.float32]
    instructions: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.instructions)

    def take(self, indices: Sequence[int] | npt.NDArray[np.integer]) -> Observations:
        return Observations(
            {camera: images[indices] for camera, images in self.images.items()},
            self.state[indices],
            tuple(self.instructions[index] for index in indices),
        )

    def spread(self, count: int) -> Observations:
        """At most `count` of them, evenly spaced from first to last."""
        return self.take(evenly(len(self), count))


def evenly(length: int, count: int) -> npt.NDArray[np.int64]:
    """At most `count` different indices from 0 to length - 1, both ends included."""
    return np.unique(np.linspace(0, length - 1, min(length, count)).round().astype(np.int64))
