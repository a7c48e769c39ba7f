"""What `gripline dataset stats` says: the statistics of each embodiment, and whether a base checkpoint fits them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core.spec import Embodiment
from components.dataset.columns import stats_as_json
from components.dataset.layout import ACTION, STATE, video_keys
from components.dataset.statistics.base import BaseStats
from components.dataset.statistics.cache import StatisticsCache
from components.dataset.statistics.compare import Comparison, compare
from components.dataset.statistics.merging import running_of_parts
from components.dataset.statistics.representation import ActionStatistics, action_statistics
from components.dataset.statistics.words import Table, action_rows, feature_rows
from components.dataset.stats import RunningStats

if TYPE_CHECKING:
    from components.dataset.parts import Part

# Below the state folder of a workspace.
CACHE = Path("cache/statistics")
_CHANNELS = ("red", "green", "blue")


@dataclass(frozen=True)
class EmbodimentStatistics:
    """`running`: feature -> statistics, the actions as recorded unless `actions` says otherwise."""

    embodiment: Embodiment
    parts: tuple[Part, ...]
    running: dict[str, RunningStats]
    actions: ActionStatistics | None
    comparison: Comparison | None

    def as_dict(self) -> dict[str, Any]:
        value: dict[str, Any] = {
            "embodiment": self.embodiment.name,
            "embodiment_digest": self.embodiment.digest,
            "parts": [part.name for part in self.parts],
            "episodes": sum(len(part) for part in self.parts),
            "stats": stats_as_json({key: running.result() for key, running in self.running.items()}),
        }
        if self.actions is not None:
            found = stats_as_json({ACTION: self.actions.result()})[ACTION]
            about = {"representation": self.actions.representation, "horizon": self.actions.horizon}
            value["actions"] = {**about, "references": self.actions.references, "stats": found}
        return value | ({} if self.comparison is None else {"base": self.comparison.as_dict()})

    def rows(self) -> Table:
        """A row for each dimension of what is shown as recorded; actions in a representation are none of it."""
        left_out = () if self.actions is None else (ACTION,)
        running = {key: found for key, found in self.running.items() if key not in left_out}
        return feature_rows(running, dimension_names(self.parts[0]))

    def action_rows(self) -> Table:
        """A row for each dimension of the shown steps of `actions`; none where the actions are as recorded."""
        return ([], []) if self.actions is None else action_rows(self.actions, self.embodiment.action.names)


def report(
    parts: Sequence[Part],
    *,
    representation: str | None = None,
    horizon: int = 1,
    base: BaseStats | None = None,
    cache: StatisticsCache | None = None,
) -> list[EmbodimentStatistics]:
    """One for each embodiment among `parts`, by name; `base` is compared with the actions in `representation`."""
    found = []
    for own in by_embodiment(parts):
        running, actions = running_of_parts(own), None
        if representation is not None:
            actions = action_statistics(own, representation, horizon, cache)
            running[ACTION] = actions.overall()
        comparison = None if base is None else compare(running, base, names=dimension_names(own[0]))
        found.append(EmbodimentStatistics(own[0].dataset.embodiment, tuple(own), running, actions, comparison))
    return found


def by_embodiment(parts: Sequence[Part]) -> list[list[Part]]:
    """Parts of one embodiment together, ordered by its name."""
    groups: dict[tuple[str, str], list[Part]] = {}
    for part in parts:
        embodiment = part.dataset.embodiment
        groups.setdefault((embodiment.name, embodiment.digest), []).append(part)
    return [groups[key] for key in sorted(groups)]


def dimension_names(part: Part) -> Mapping[str, Sequence[str]]:
    """Feature -> names of its dimensions, where they have any."""
    embodiment = part.dataset.embodiment
    names: dict[str, Sequence[str]] = dict.fromkeys(video_keys(part.dataset.features), _CHANNELS)
    return names | {STATE: embodiment.observation.state_names, ACTION: embodiment.action.names}
