"""Which episodes a batch is made of, for the message when training meets numbers that are none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from components.core.errors import DatasetError
from components.dataset.loading.episodes import EpisodeList

_NAMED = 5
_HINT = "Look at them with `gripline check --explain`, quarantine them, or lower train.learning_rate"
_DIVERGED = "Lower train.learning_rate or train.clip_norm, or raise train.warmup_steps; then look at the named episodes"


@dataclass(frozen=True)
class Blame:
    """`episodes`: as the loader counts them."""

    episodes: EpisodeList

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # What copies a policy in training, an average of its weights for one, must not copy a dataset along.
        return self

    def loss(
        self, loss: float, step: int, batch: dict[str, Tensor], row_loss: Callable[[dict[str, Tensor]], Tensor]
    ) -> DatasetError:
        """The error for a loss that is no number: episodes whose own loss is none first, at most 5.

        `row_loss` gives the loss of a batch of one window.
        """
        size = len(batch["episode"])
        with torch.no_grad():
            losses = [float(row_loss({k: v[row : row + 1] for k, v in batch.items()})) for row in range(size)]
        bad = ~np.isfinite(losses)
        sizes, fields = self._extremes(batch)
        # All of them: the weights themselves are no numbers any more, and only the values say who it was.
        order = np.lexsort((-sizes, ~bad))
        order = order[: bad.sum()] if bad.any() else order
        named = self._named(batch["episode"].cpu().numpy()[order], [fields[row] for row in order])
        if bad.all():
            what = "the loss of every window is no number, so the weights have diverged. Episodes"
            return DatasetError(f"the loss is {loss} at step {step}: {what}: {named}", hint=_DIVERGED)
        what = f"{bad.sum()} of {size} windows have a loss that is no number. Episodes"
        return DatasetError(f"the loss is {loss} at step {step}: {what}: {named}", hint=_HINT)

    def values(
        self, episode: npt.NDArray[np.int64], fields: dict[str, npt.NDArray[np.floating]]
    ) -> DatasetError | None:
        """The error for values {"state": [B, S], "actions": [B, H, A]} that are no finite numbers, or None."""
        for field, values in fields.items():
            rows = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
            if rows.any():
                told = [
                    self._channel(number, field, row, np.where(np.isfinite(row), 0.0, np.inf))
                    for number, row in zip(episode[rows].tolist(), values[rows], strict=True)
                ]
                return DatasetError(f"not a finite number in {self._named(episode[rows], told)}", hint=_HINT)
        return None

    def _extremes(self, batch: dict[str, Tensor]) -> tuple[npt.NDArray[np.float64], list[str]]:
        """Largest |normalised value| of each window [B], and where it stands."""
        arrays = {"state": batch["state"].cpu().numpy(), "actions": batch["actions"].cpu().numpy()}
        sizes, fields = [], []
        for row, episode in enumerate(batch["episode"].tolist()):
            weights = {field: np.nan_to_num(np.abs(of[row]), nan=np.inf) for field, of in arrays.items()}
            worst = max(weights, key=lambda field: weights[field].max())
            sizes.append(float(weights[worst].max()))
            fields.append(self._channel(episode, worst, arrays[worst][row], weights[worst]) + " normalised")
        return np.array(sizes), fields

    def _channel(
        self, episode: int, field: str, values: npt.NDArray[np.floating], weight: npt.NDArray[np.floating]
    ) -> str:
        body = self.episodes.part_of(episode).dataset.embodiment
        place = np.unravel_index(int(np.argmax(weight)), weight.shape)
        names = body.observation.state_names if field == "state" else body.action.names
        return f"{field} {names[int(place[-1])]} is {values[place]:.4g}"

    def _named(self, rows: npt.NDArray[np.int64], fields: list[str]) -> str:
        first: dict[int, str] = {}
        for row, field in zip(rows.tolist(), fields, strict=True):
            first.setdefault(row, field)
        said = [f"{self._episode(row)}, {field}" for row, field in list(first.items())[:_NAMED]]
        more = f"; and {len(first) - _NAMED} more" if len(first) > _NAMED else ""
        return "; ".join(said) + more

    def _episode(self, row: int) -> str:
        known = self.episodes.part_of(row).dataset.row(int(self.episodes.index[row]))
        return f"{known['episode_id'][:12]} of {known['source_uri'] or 'an unnamed file'}"
