"""What the parts of a mixture have in common, and what each of them lacks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from components.core.errors import DatasetError
from components.dataset.parts import Part


class Shapes:
    """Widths of a batch over parts [P] of different embodiments.

    `cameras`: all names, in the order in which they first come; `image_px`: side of every picture; `camera_places`: for
    each part, where its cameras are among `cameras`; `image_mask` bool [P, K], `state_mask` [P, S], `action_mask`
    [P, A]: what a part has. State and action start at the first place and are 0 beyond their own width.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        specs = [part.dataset.embodiment for part in parts]
        sizes = sorted({spec.observation.image_px for spec in specs})
        if len(sizes) > 1:
            names = ", ".join(
                f"{part.name} {spec.observation.image_px} px" for part, spec in zip(parts, specs, strict=True)
            )
            raise DatasetError(
                f"pictures of different sizes cannot lie in one batch: {names}", hint="Ingest them with one image_px"
            )
        (self.image_px,) = sizes
        self.cameras = tuple(dict.fromkeys(camera for spec in specs for camera in spec.observation.cameras))
        self.camera_places = [[self.cameras.index(name) for name in spec.observation.cameras] for spec in specs]
        self.image_mask = np.array([[name in spec.observation.cameras for name in self.cameras] for spec in specs])
        self.state_mask = _mask([len(spec.observation.state_names) for spec in specs])
        self.action_mask = _mask([spec.action.dim for spec in specs])

    @property
    def frame(self) -> tuple[int, int, int, int]:
        """Shape [K, H, W, 3] of all pictures of one moment."""
        return (len(self.cameras), self.image_px, self.image_px, 3)


def _mask(widths: list[int]) -> npt.NDArray[np.bool_]:
    """bool [P, widest]."""
    return np.arange(max(widths)) < np.array(widths)[:, None]
