"""Datasets that params.yaml names by path and digest."""

from __future__ import annotations

from pathlib import Path

from components.core.errors import DatasetError
from components.core.pins import require_pinned
from components.core.train_params import Pinned
from components.dataset.parts import Part, digest_of, parts_of


def open_pinned(root: Path, pinned: Pinned) -> list[Part]:
    """The parts of a dataset or manifest at `pinned.path`, from `root` where it is relative.

    Raises `DatasetError` where it is not what the digest says.
    """
    path = root / pinned.path
    require_pinned(
        digest_of(path),
        pinned,
        setting="train.mixture",
        error=DatasetError,
        where=pinned.path,
        hint="Name what `gripline dataset verify --json` says, or bring back the dataset that was meant",
    )
    return parts_of(path)
