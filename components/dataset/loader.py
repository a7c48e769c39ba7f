"""Training windows in memory: every frame is decoded once, then a batch is an index into arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from components.core.errors import DatasetError
from components.dataset.layout import ACTION, STATE
from components.dataset.reader import Dataset

_MIB = 1 << 20


class WindowStore:
    """One window per frame of the chosen episodes, ordered by episode_id and then by time.

    The order does not depend on `episode_index`, so a dataset that grew and one built afresh train alike.
    `instructions`: the distinct ones, sorted; `episodes`: rows of the dataset's table in the order of this store.
    """

    def __init__(
        self,
        images: npt.NDArray[np.uint8],
        state: npt.NDArray[np.float32],
        action: npt.NDArray[np.float32],
        episodes: pd.DataFrame,
        chunk: int,
    ) -> None:
        if chunk < 1:
            raise DatasetError(f"chunk is {chunk}, expected at least 1")
        lengths = episodes["length"].to_numpy()
        self.chunk = chunk
        self.episodes = episodes
        self.instructions: tuple[str, ...] = tuple(sorted(set(episodes["instruction"])))
        self._images, self._state, self._action = images, state, action
        self._episode = np.repeat(np.arange(len(episodes)), lengths)
        self._end = np.repeat(np.cumsum(lengths), lengths)
        numbers = {text: index for index, text in enumerate(self.instructions)}
        self._instruction = np.array([numbers[text] for text in episodes["instruction"]], dtype=np.int64)

    @classmethod
    def build(
        cls,
        dataset: Dataset,
        episode_indices: Sequence[int],
        chunk: int,
        *,
        memory_limit_bytes: int | None = None,
        progress: bool = True,
    ) -> WindowStore:
        """Decodes the episodes. Raises `DatasetError` before decoding where they would not fit the memory limit."""
        chosen = dataset.episodes.iloc[sorted(set(episode_indices))].sort_values("episode_id").reset_index(drop=True)
        if chosen.empty:
            raise DatasetError("no episode to train on", where=str(dataset.root), hint="Look at the verdicts")
        spec = dataset.embodiment
        seen, frames = spec.observation, int(chosen["length"].sum())
        shape = (frames, len(seen.cameras), seen.image_px, seen.image_px, 3)
        needed = int(np.prod(shape)) + 4 * frames * (len(seen.state_names) + spec.action.dim)
        if memory_limit_bytes is not None and needed > memory_limit_bytes:
            raise DatasetError(
                f"{frames} frames need {needed / _MIB:.1f} MiB, the limit is {memory_limit_bytes / _MIB:.1f} MiB",
                where=str(dataset.root),
                hint="Choose fewer episodes or allow more memory",
            )
        images = np.empty(shape, np.uint8)
        state = np.empty((frames, len(seen.state_names)), np.float32)
        action = np.empty((frames, spec.action.dim), np.float32)
        start = 0
        for index in tqdm(chosen["episode_index"].tolist(), desc="decode", unit="episode", disable=not progress):
            columns = dataset.frames(index)
            rows = slice(start, start + len(columns[STATE]))
            state[rows], action[rows] = columns[STATE], columns[ACTION]
            for number, camera in enumerate(seen.cameras):
                images[rows, number] = dataset.images(index, camera)
            start = rows.stop
        return cls(images, state, action, chosen, chunk)

    def __len__(self) -> int:
        return len(self._state)

    @property
    def nbytes(self) -> int:
        """Bytes that images, states and actions take."""
        return self._images.nbytes + self._state.nbytes + self._action.nbytes

    def batch(self, indices: npt.ArrayLike) -> dict[str, npt.NDArray[Any]]:
        """The windows at `indices` [B].

        images uint8 [B, K, H, W, 3] in camera order; state float32 [B, S]; actions float32 [B, H, A] from the frame on,
        the last one repeated past the end; actions_is_pad bool [B, H], true there; instruction int64 [B], index into
        `instructions`; episode int64 [B], row of `episodes`.
        """
        at = np.asarray(indices, dtype=np.int64)
        ahead = at[:, None] + np.arange(self.chunk)
        end = self._end[at][:, None]
        episode = self._episode[at]
        return {
            "images": self._images[at],
            "state": self._state[at],
            "actions": self._action[np.minimum(ahead, end - 1)],
            "actions_is_pad": ahead >= end,
            "instruction": self._instruction[episode],
            "episode": episode,
        }

    def order(self, seed: int, epoch: int) -> npt.NDArray[np.int64]:
        """The order of windows in an epoch: a permutation [N] that depends on nothing but its arguments and N."""
        return window_order(len(self), seed, epoch)


def window_order(count: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Permutation of `range(count)`, a pure function of its arguments."""
    return np.random.Generator(np.random.PCG64([seed, epoch])).permutation(count)
