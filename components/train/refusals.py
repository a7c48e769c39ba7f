"""What is refused before anything is decoded: params that do not agree, states that are no numbers."""

from __future__ import annotations

from collections.abc import Sequence

from components.core.errors import DatasetError, ParamsError
from components.core.params import Train
from components.dataset.layout import STATE
from components.dataset.loading.episodes import part_lengths
from components.dataset.parts import Part
from components.dataset.stats import RunningStats
from components.train.sides import windows_of


def require_single(params: Train, names: Sequence[str]) -> None:
    """Raises `ParamsError` for what works on the policy of one robot only."""
    asked = {
        "train.lora": params.lora.rank > 0,
        "train.teacher": bool(params.teacher.path),
        "train.strategy.kind fsdp": params.strategy.kind == "fsdp",
    }
    for key, is_on in asked.items():
        if is_on and len(names) > 1:
            raise ParamsError(
                f"{key} does not go with a mixture of several embodiments: {', '.join(names)}",
                hint="Train the trunk on all of them first, then begin from it with train.start_from",
            )


def require_finite(state: RunningStats, parts: Sequence[Part]) -> None:
    """Raises `DatasetError` naming the episode of a state that is not finite.

    Statistics leave out what is not finite; training would not.
    """
    if int(state.result()["count"][0]) == windows_of(parts):
        return
    for part in parts:
        for index, length in zip(part.indices.tolist(), part_lengths(part).tolist(), strict=True):
            if part.dataset.stats_of_episode(index)[STATE]["count"][0] != length:
                known = part.dataset.row(index)
                raise DatasetError(
                    f"episode {known['episode_id'][:12]} of {known['source_uri']} holds a state that is not finite",
                    where=str(part.dataset.root),
                    hint="Run the stage check again: it quarantines such an episode as `nan`",
                )
