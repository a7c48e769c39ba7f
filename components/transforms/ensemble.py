"""What overlapping chunks say about the same instant, blended into one action."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.core.errors import ContractError, UsageError

Floats = npt.NDArray[np.float64]


class TemporalEnsemble:
    """For a policy that is asked at every control step (Zhao et al. 2023, algorithm 2).

    An action is the weighted mean of what all chunks say that cover its instant: the i-th weighs exp(-coefficient * i),
    i = 0 being the oldest. `chunk`: actions of an answer; `coefficient` 0: a plain mean.
    """

    def __init__(self, chunk: int, coefficient: float = 0.01) -> None:
        if chunk < 1 or not np.isfinite(coefficient):
            raise UsageError(f"no ensemble of chunks of {chunk} with a coefficient of {coefficient}")
        self._weights: Floats = np.exp(-coefficient * np.arange(chunk))
        self.reset()

    def reset(self) -> None:
        """A new episode begins: nothing has been said yet."""
        self._counts = np.zeros(len(self._weights), np.int64)
        self._totals = np.zeros(len(self._weights))
        self._sums: Floats | None = None

    def update(self, actions: npt.NDArray[np.floating]) -> Floats:
        """The chunk [H, A] that was answered now, its first action for this instant -> the action [A] to execute."""
        actions = np.asarray(actions, np.float64)
        if actions.ndim != 2 or len(actions) != len(self._weights):
            raise ContractError(f"a chunk of shape {list(actions.shape)}, expected [{len(self._weights)}, A]")
        sums = np.zeros_like(actions) if self._sums is None else self._sums
        if sums.shape != actions.shape:
            raise ContractError(f"a chunk of shape {list(actions.shape)} after some of {list(sums.shape)}")
        weights = self._weights[self._counts]
        sums, totals, counts = sums + weights[:, None] * actions, self._totals + weights, self._counts + 1
        now: Floats = sums[0] / totals[0]
        # The next instant comes to the front; of the last one nothing is known yet.
        self._sums, self._totals = np.append(sums[1:], 0.0 * sums[:1], axis=0), np.append(totals[1:], 0.0)
        self._counts = np.append(counts[1:], 0)
        return now
