"""State and action of whole episodes, kept while they are needed again."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np
import numpy.typing as npt

from components.dataset.layout import ACTION, STATE
from components.dataset.loading.episodes import EpisodeList

# State float32 [T, S] and action float32 [T, A].
Columns = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]

_MOST_BYTES = 64 << 20


class ColumnsCache:
    """Columns of the episodes of a list; those least recently asked for go first. Several threads may ask at once."""

    def __init__(self, episodes: EpisodeList, most_bytes: int = _MOST_BYTES) -> None:
        self._episodes, self._most_bytes, self._bytes = episodes, most_bytes, 0
        self._kept: OrderedDict[int, Columns] = OrderedDict()
        self._lock = threading.Lock()

    def columns(self, row: int) -> Columns:
        """Those of the episode in this row of the list. Raises `DatasetError` where the dataset is damaged."""
        with self._lock:
            if row in self._kept:
                self._kept.move_to_end(row)
                return self._kept[row]
        dataset = self._episodes.part_of(row).dataset
        frames = dataset.frames(int(self._episodes.index[row]), [STATE, ACTION])
        # What was read is a piece of a whole row group, which would stay in memory with it.
        read = (frames[STATE].copy(), frames[ACTION].copy())
        with self._lock:
            if row not in self._kept:
                self._kept[row] = read
                self._bytes += _size(read)
            while self._bytes > self._most_bytes and len(self._kept) > 1:
                self._bytes -= _size(self._kept.popitem(last=False)[1])
        return read


def _size(columns: Columns) -> int:
    return columns[0].nbytes + columns[1].nbytes
