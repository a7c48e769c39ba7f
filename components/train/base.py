"""Statistics of a base checkpoint in the place of the data's own, and how well the two agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.core.errors import ContractError
from components.core.files import digest_json, write_json, write_text
from components.core.spec import Embodiment
from components.dataset.layout import ACTION, STATE
from components.dataset.statistics.base import BaseStats, read_base
from components.dataset.statistics.compare import Comparison, compare
from components.dataset.stats import RunningStats

Values = npt.NDArray[np.float64]

MEAN_STD, QUANTILES = ("mean", "std"), ("q01", "q99")


@dataclass(frozen=True)
class Base:
    """What a file of statistics says, how the data compare with it, and the digest of what it says."""

    stats: BaseStats
    comparison: Comparison
    digest: str

    def pair(self, key: str, names: tuple[str, str], width: int) -> tuple[Values, Values]:
        """Two statistics [width] of a feature. Raises `ContractError` where the file does not hold them."""
        low, high = names
        found = self.stats.get(key, {})
        if low not in found or high not in found or len(found[low]) < width:
            raise ContractError(
                f"the base statistics hold no {low} and {high} of {width} dimensions of {key}",
                hint="Set train.normalise to what the base was normalised by, or clear train.base_statistics",
            )
        return found[low][:width], found[high][:width]

    def write_report(self, folder: Path) -> None:
        """base_statistics.json for programs, base_statistics.md for people."""
        write_json(folder / "base_statistics.json", self.comparison.as_dict())
        write_text(folder / "base_statistics.md", self.comparison.markdown())


def read_base_statistics(
    path: Path, data: Mapping[str, RunningStats], body: Embodiment, names: tuple[str, str] = MEAN_STD
) -> Base:
    """Reads and compares; `names`: the statistics that states are normalised by.

    Raises `InputError` for a file that holds no statistics, `ContractError` where they are of another state.
    """
    stats, width = read_base(path), len(body.observation.state_names)
    state = stats.get(STATE, {})
    for name in names:
        if name not in state:
            hint = f"States are normalised by {names[0]} and {names[1]}"
            raise ContractError(f"{STATE} has no {name}", where=str(path), hint=hint)
    # Trainers of several robots pad what is narrow with zeros.
    if len(state[names[0]]) < width or any(state[name][width:].any() for name in names):
        raise ContractError(
            f"{STATE} has {len(state[names[0]])} dimensions, {body.name} has {width}",
            where=str(path),
            hint="Take the statistics of a checkpoint of this embodiment, or clear train.base_statistics",
        )
    stats[STATE] = {name: values[:width] for name, values in state.items()}
    return base_of(stats, data, {STATE: body.observation.state_names, ACTION: body.action.names})


def base_of(stats: BaseStats, data: Mapping[str, RunningStats], names: Mapping[str, Sequence[str]]) -> Base:
    """`names`: what the dimensions of each feature are called."""
    digest = digest_json({key: {name: one.tolist() for name, one in of.items()} for key, of in stats.items()})
    return Base(stats, compare(data, stats, names=names), digest)
