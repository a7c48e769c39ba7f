"""Recorded frames of each robot that was trained: what its policy's graph is judged by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.core.errors import RecordError
from components.core.spec import Embodiment
from components.core.train_params import MixtureSource
from components.dataset.pinned import open_pinned
from components.dataset.reader import Dataset
from components.export.frames import sample
from components.export.observations import Observations


class Recorded:
    """`count` frames a robot: of the workspace's own from `own`, of others from the datasets they were trained on.

    Paths in a mixture are from `root`, the workspace. Each dataset is opened once, when it is first needed.
    """

    def __init__(self, root: Path, own: Dataset, count: int) -> None:
        self._root, self._count = root, count
        self._known = {own.embodiment.name: (own.embodiment, sample(own, count))}

    def of(self, body: Embodiment, params: dict[str, Any], where: str) -> tuple[Embodiment, Observations]:
        """The embodiment as recorded, and frames of it. `params`: those a checkpoint was trained with.

        Raises `RecordError` where no dataset of that training is of this robot.
        """
        for value in () if body.name in self._known else params.get("mixture", ()):
            for part in open_pinned(self._root, MixtureSource.model_validate(value)):
                found = part.dataset.embodiment
                if found.name == body.name and body.name not in self._known:
                    self._known[body.name] = (found, sample(part.dataset, self._count))
        if body.name not in self._known:
            raise RecordError(
                f"no dataset of {body.name} to measure parity on",
                where=where,
                hint="Keep the datasets of train.mixture where its paths say, or train again",
            )
        return self._known[body.name]
