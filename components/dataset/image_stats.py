"""Statistics of a camera over an episode, from histograms of its 256 levels: exact for the frames looked at."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from components.dataset.sketch import Sketch
from components.dataset.stats import QUANTILES, FeatureStats


class ImageStats:
    """Statistics of one camera over an episode of `length` frames that come one after the other; `add` each of them.

    Looks at the frames of `sample_indices` alone; memory is one histogram.
    """

    def __init__(self, length: int) -> None:
        self._wanted = frozenset(sample_indices(length).tolist())
        self._counts = np.zeros((3, 256), np.int64)
        self._index = 0

    def add(self, frame: npt.NDArray[np.uint8]) -> None:
        """Takes in the next frame, uint8 [H, W, 3]."""
        if self._index in self._wanted:
            self._counts += np.array(Image.fromarray(frame).histogram()).reshape(3, 256)
        self._index += 1

    @property
    def sketch(self) -> Sketch:
        """How often each channel had each level in the frames looked at."""
        return Sketch.of_levels(self._counts)

    def result(self) -> FeatureStats:
        """Per channel, scaled to 0..1, shape (3, 1, 1); `count` is frames looked at."""
        counts, levels = self._counts, np.arange(256) / 255.0
        total = counts[0].sum()
        mean = counts @ levels / total
        variance = (counts * (levels[None] - mean[:, None]) ** 2).sum(axis=1) / total
        seen, sketch = counts > 0, self.sketch
        result = {
            "min": levels[seen.argmax(axis=1)],
            "max": levels[255 - seen[:, ::-1].argmax(axis=1)],
            "mean": mean,
            "std": np.sqrt(variance),
            **{name: sketch.quantile(share) for name, share in QUANTILES.items()},
        }
        shaped = {name: value.reshape(-1, 1, 1) for name, value in result.items()}
        return shaped | {"count": np.array([len(self._wanted)])}


def sample_indices(count: int) -> npt.NDArray[np.int64]:
    """Frames that image statistics look at: all up to 100, then count ** 0.75 of them, evenly spread."""
    wanted = min(count, max(100, min(int(count**0.75), 10_000)))
    return np.round(np.linspace(0, count - 1, wanted)).astype(np.int64)
