"""The windows of one pool: where each one's pictures and numbers lie, and batches out of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from components.dataset.loading.columns import Columns
from components.dataset.loading.episodes import EpisodeList
from components.dataset.loading.mixture import PoolOrder
from components.dataset.loading.settings import LoaderSettings
from components.dataset.loading.shapes import Shapes

Batch = dict[str, npt.NDArray[Any]]


class Pool:
    """Every frame that its windows look at has a slot; segment after segment, in time within one.

    `segments`: int64 arrays [n] `row`, `first` (frame in the episode), `count`, with the frames that history reaches
    back to; `slots` [n + 1]: the first slot of each, then their number.
    """

    def __init__(self, order: PoolOrder, episodes: EpisodeList, shapes: Shapes, settings: LoaderSettings) -> None:
        self.order, self._episodes, self._shapes, self._settings = order, episodes, shapes, settings
        cut = episodes.segments(order.first, order.count)
        lead = np.minimum(cut.first, settings.lead_frames)
        self.row, self.first, self.count = cut.row, cut.first - lead, cut.count + lead
        self.slots = np.concatenate([[0], np.cumsum(self.count)])
        # Actions go on beyond the segment, up to the end of the episode.
        self._actions_count = np.minimum(cut.count + settings.chunk - 1, episodes.length[cut.row] - cut.first)
        self._actions_start = np.cumsum(self._actions_count) - self._actions_count
        self._lead = lead
        # Per window, in the order of the segments.
        within = _counted(cut.count)
        self._row = np.repeat(cut.row, cut.count)
        self._frame = np.repeat(cut.first, cut.count) + within
        self._slot = np.repeat(self.slots[:-1] + lead, cut.count) + within
        self._action = np.repeat(self._actions_start, cut.count) + within
        self._action_last = np.repeat(self._actions_start + self._actions_count - 1, cut.count)
        self._state = np.zeros((int(self.slots[-1]), shapes.state_mask.shape[1]), np.float32)
        self._actions = np.zeros((int(self._actions_count.sum()), shapes.action_mask.shape[1]), np.float32)

    @property
    def frames(self) -> int:
        """How many slots there are."""
        return int(self.slots[-1])

    @cached_property
    def slot_row(self) -> npt.NDArray[np.int64]:
        """Row of the episode in each slot."""
        return np.repeat(self.row, self.count)

    @cached_property
    def slot_frame(self) -> npt.NDArray[np.int64]:
        """Frame of that episode in each slot."""
        return np.repeat(self.first, self.count) + _counted(self.count)

    def fill_numbers(self, segment: int, columns: Callable[[int], Columns]) -> None:
        """Takes in state and action of one segment."""
        state, action = columns(int(self.row[segment]))
        first, slot = int(self.first[segment]), int(self.slots[segment])
        seen = state[first : first + int(self.count[segment])]
        self._state[slot : slot + len(seen), : seen.shape[1]] = seen
        first += int(self._lead[segment])
        start, count = int(self._actions_start[segment]), int(self._actions_count[segment])
        self._actions[start : start + count, : action.shape[1]] = action[first : first + count]

    def read(
        self,
        start: int,
        stop: int,
        out: Batch,
        at: slice,
        pictures: Callable[[npt.NDArray[np.int64], npt.NDArray[np.uint8]], None],
    ) -> None:
        """Puts windows `start` to `stop` of the pool's order into `out` at `at`.

        `pictures(slots [n], out [n, K, H, W, 3])` copies the pictures of slots.
        """
        settings, windows = self._settings, self.order.order[start:stop]
        row, frame, slot = self._row[windows], self._frame[windows], self._slot[windows]
        back = np.arange(settings.history - 1, -1, -1) * settings.history_stride
        # Before the start of an episode its first frame stands in, which is then in the pool: see `lead`.
        slots = slot[:, None] - np.minimum(back, frame[:, None])
        ahead = self._action[windows, None] + np.arange(settings.chunk)
        last = self._action_last[windows, None]
        source = self._episodes.source[row]
        if settings.history == 1:
            slots = slots[:, 0]
        target = out["images"][at]
        pictures(slots.ravel(), target.reshape(-1, *self._shapes.frame))
        out["state"][at] = self._state[slots]
        np.take(self._actions, np.minimum(ahead, last), axis=0, out=out["actions"][at], mode="clip")
        out["actions_is_pad"][at] = ahead > last
        out["history_is_pad"][at] = frame[:, None] < back
        out["instruction"][at] = self._episodes.instruction[row]
        out["episode"][at], out["frame"][at], out["source"][at] = row, frame, source
        for name in ("image_mask", "state_mask", "action_mask"):
            out[name][at] = getattr(self._shapes, name)[source]


def empty_batch(size: int, shapes: Shapes, settings: LoaderSettings) -> Batch:
    """Arrays of a batch of `size` windows, not yet filled; `Loader.batch` says what they hold."""
    times = () if settings.history == 1 else (settings.history,)
    widths = {name: getattr(shapes, name).shape[1] for name in ("image_mask", "state_mask", "action_mask")}
    batch: Batch = {
        "images": np.empty((size, *times, *shapes.frame), np.uint8),
        "state": np.empty((size, *times, widths["state_mask"]), np.float32),
        "actions": np.empty((size, settings.chunk, widths["action_mask"]), np.float32),
        "actions_is_pad": np.empty((size, settings.chunk), np.bool_),
        "history_is_pad": np.empty((size, settings.history), np.bool_),
    }
    batch |= {name: np.empty(size, np.int64) for name in ("instruction", "episode", "frame", "source")}
    return batch | {name: np.empty((size, width), np.bool_) for name, width in widths.items()}


def _counted(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """0 .. count - 1 for each of `counts`, one after the other."""
    ends = np.cumsum(counts)
    return np.arange(int(counts.sum())) - np.repeat(ends - counts, counts)
