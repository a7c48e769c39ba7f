"""Statistics of a base checkpoint in the place of the data's own, and how well the two agree."""

from __future__ import annotations

from collections.abc import Mapping
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


@dataclass(frozen=True)
class Base:
    """What a file of statistics says, how the data compare with it, and the digest of what it says."""

    stats: BaseStats
    comparison: Comparison
    digest: str

    @property
    def state_moments(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Mean and standard deviation [S] that states are normalised by."""
        return self.stats[STATE]["mean"], self.stats[STATE]["std"]

    def write_report(self, folder: Path) -> None:
        """base_statistics.json for programs, base_statistics.md for people."""
        write_json(folder / "base_statistics.json", self.comparison.as_dict())
        write_text(folder / "base_statistics.md", self.comparison.markdown())


def read_base_statistics(path: Path, data: Mapping[str, RunningStats], body: Embodiment) -> Base:
    """Reads and compares.

    Raises `InputError` for a file that holds no statistics, `ContractError` where they are of another state.
    """
    stats, width = read_base(path), len(body.observation.state_names)
    state = stats.get(STATE, {})
    for name in ("mean", "std"):
        if name not in state:
            raise ContractError(f"{STATE} has no {name}", where=str(path), hint="States are normalised by mean and std")
    # Trainers of several robots pad what is narrow with zeros.
    if len(state["mean"]) < width or any(state[name][width:].any() for name in ("mean", "std")):
        raise ContractError(
            f"{STATE} has {len(state['mean'])} dimensions, {body.name} has {width}",
            where=str(path),
            hint="Take the statistics of a checkpoint of this embodiment, or clear train.base_statistics",
        )
    stats[STATE] = {name: values[:width] for name, values in state.items()}
    names = {STATE: body.observation.state_names, ACTION: body.action.names}
    digest = digest_json({key: {name: one.tolist() for name, one in of.items()} for key, of in stats.items()})
    return Base(stats, compare(data, stats, names=names), digest)
