"""Datasets that params.yaml names by path and digest."""

from __future__ import annotations

from pathlib import Path

from components.core.errors import DatasetError
from components.core.train_params import Pinned
from components.dataset.parts import Part, digest_of, parts_of


def open_pinned(root: Path, pinned: Pinned) -> list[Part]:
    """The parts of a dataset or manifest at `pinned.path`, from `root` where it is relative.

    Raises `DatasetError` where it is not what the digest says.
    """
    path = root / pinned.path
    found = digest_of(path)
    if found != pinned.sha256:
        raise DatasetError(
            f"its digest is {found}, train.mixture says {pinned.sha256}",
            where=pinned.path,
            hint="Name what `gripline dataset verify --json` says, or bring back the dataset that was meant",
        )
    return parts_of(path)
