"""Some episodes of one dataset: what loaders, cards and exports go through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from components.core.errors import DatasetError
from components.dataset.manifest import is_manifest, places, read_manifest
from components.dataset.members import chosen_numbers, open_member
from components.dataset.reader import Dataset


@dataclass(frozen=True, eq=False)
class Part:
    """`indices`: int64 [n] episode numbers of `dataset`, ordered by episode_id; `name`: what people call it.

    The order does not depend on the order in which episodes came: a dataset that grew and one built afresh are alike.
    """

    dataset: Dataset
    indices: npt.NDArray[np.int64]
    name: str = ""

    def __post_init__(self) -> None:
        if not len(self.indices):
            raise DatasetError("no episode is left", where=str(self.dataset.root), hint="Look at what was selected")

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """Places [n] of the episodes in the tables of the dataset."""
        return np.searchsorted(self.dataset.indices, self.indices)


def part_of(dataset: Dataset, indices: npt.ArrayLike | None = None, name: str = "") -> Part:
    """A part of `dataset`: the episodes of these numbers, or all of them; each once, whatever the order given."""
    numbers = dataset.indices
    # Sorted by Arrow: a million Python strings would cost a second.
    ordered = numbers[pc.sort_indices(dataset.table(["episode_id"])["episode_id"]).to_numpy()]
    if indices is not None:
        wanted = np.unique(np.asarray(indices, np.int64))
        missing = np.setdiff1d(wanted, numbers, assume_unique=True)
        if len(missing):
            raise DatasetError(f"no episode {missing[0]}", where=str(dataset.root))
        ordered = ordered[np.isin(ordered, wanted)]
    return Part(dataset, ordered, name or dataset.root.name)


def parts_of(path: Path, at: Mapping[str, Path] | None = None) -> list[Part]:
    """The parts that a path stands for: a dataset, or the members of a manifest.

    `at`: member -> where it lies on this machine, else GRIPLINE_AT says it, else the manifest. A member that is not
    here is an error once its frames are needed. Raises `DatasetError` where the path is neither, or has changed.
    """
    if not is_manifest(path):
        return [part_of(Dataset.open(path))]
    manifest, known = read_manifest(path), places() if at is None else at
    parts = []
    for member in manifest.members:
        dataset = open_member(manifest, member, known)
        parts.append(part_of(dataset, chosen_numbers(manifest, member, dataset), member.name))
    return parts


def digest_of(path: Path) -> str:
    """Identifies what a path stands for: the digest of a dataset or of a manifest."""
    return read_manifest(path).digest if is_manifest(path) else Dataset.open(path).digest
