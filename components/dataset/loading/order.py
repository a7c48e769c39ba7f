"""In which order the windows of a source come: a closed form, whatever the number of windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.dataset.loading.permutation import Feistel, random_words

# Keep the random numbers of one use apart from those of another.
_OFFSET, _RUNS = 1, 2


@dataclass(frozen=True, eq=False)
class Runs:
    """Consecutive frames: `first` int64 [n] on the ring of their source, `count` int64 [n] frames each.

    A run that goes past the end of the ring is two of them, the second at its beginning.
    """

    first: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]


class RunOrder:
    """The endless row of runs that one rank takes from a ring of `frames` frames.

    In every epoch the ring is turned by a random offset, cut into runs of `run_frames` frames, and the runs are
    permuted; one of them is shorter where `frames` is no multiple, it comes last. The runs of an epoch are dealt to the
    ranks in turn. The first rank to be dealt to changes with the epoch, so that in `world` epochs every rank gets each
    place once and hence `frames` frames: no rank runs ahead of another. Memory does not grow with `frames`.

    Without `shuffle` the runs come as they lie on the ring.
    """

    def __init__(
        self, frames: int, run_frames: int, key: tuple[int, ...], *, rank: int = 0, world: int = 1, shuffle: bool = True
    ) -> None:
        self.frames, self.run_frames, self.world = frames, run_frames, world
        self.runs = -(-frames // run_frames)
        self._key, self._shuffle = key, shuffle
        # What this rank gets in each epoch of a period of `world` epochs: its first place, runs and frames.
        self._place = (rank - np.arange(world)) % world
        self._epoch_runs = np.maximum(0, -(-(self.runs - self._place) // world))
        has_last = (self.runs - 1 - self._place) % world == 0
        self._epoch_frames = self._epoch_runs * run_frames - np.where(
            has_last & (self._epoch_runs > 0), self.runs * run_frames - frames, 0
        )
        self._run_ends = np.cumsum(self._epoch_runs)
        self._frame_ends = np.cumsum(self._epoch_frames)

    def epoch_of_frame(self, number: int) -> tuple[int, int]:
        """The epoch in which this rank takes its `number`-th frame, and how many frames it took before that epoch."""
        return self._epoch_of(number, self.frames, self._frame_ends)

    def epoch_runs(self, epoch: int) -> int:
        """Runs that this rank takes in an epoch."""
        return int(self._epoch_runs[epoch % self.world])

    def epoch_frames(self, epoch: int) -> int:
        """Frames that this rank takes in an epoch."""
        return int(self._epoch_frames[epoch % self.world])

    def frames_before(self, run: int) -> int:
        """Frames in the first `run` runs of this rank."""
        epoch, before = self._epoch_of(run, self.runs, self._run_ends)
        period, within = divmod(epoch, self.world)
        started = period * self.frames + int(self._frame_ends[within] - self._epoch_frames[within])
        return started + min((run - before) * self.run_frames, self.epoch_frames(epoch))

    def between(self, start: int, stop: int) -> Runs:
        """Runs `start` to `stop` of this rank, epoch after epoch."""
        parts = []
        while start < stop:
            epoch, before = self._epoch_of(start, self.runs, self._run_ends)
            end = min(stop, before + self.epoch_runs(epoch))
            parts.append(self.of_epoch(epoch, start - before, end - before))
            start = end
        empty = np.empty(0, np.int64)
        return Runs(
            np.concatenate([part.first for part in parts] or [empty]),
            np.concatenate([part.count for part in parts] or [empty]),
        )

    def of_epoch(self, epoch: int, start: int, stop: int) -> Runs:
        """Runs `start` to `stop` of those that this rank takes in an epoch."""
        places = self._place[epoch % self.world] + np.arange(start, stop, dtype=np.int64) * self.world
        last = self.runs - 1
        count = np.where(places == last, self.frames - last * self.run_frames, self.run_frames)
        if not self._shuffle:
            return Runs(places * self.run_frames, count)  # it starts at 0, so that none goes past the end
        inner = places < last
        runs = places.copy()
        runs[inner] = Feistel(last, _RUNS, epoch, *self._key)(places[inner])
        offset = int(random_words(1, _OFFSET, epoch, *self._key)[0]) % self.frames
        return self._cut((offset + runs * self.run_frames) % self.frames, count)

    def _cut(self, first: npt.NDArray[np.int64], count: npt.NDArray[np.int64]) -> Runs:
        """The runs, cut at the end of the ring."""
        beyond = np.maximum(0, first + count - self.frames)
        at = np.flatnonzero(beyond)
        return Runs(np.insert(first, at + 1, 0), np.insert(count - beyond, at + 1, beyond[at]))

    def _epoch_of(self, number: int, period_size: int, ends: npt.NDArray[np.int64]) -> tuple[int, int]:
        """The epoch that holds item `number` of an endless row, and the number of items before the epoch."""
        period, rest = divmod(number, period_size)
        within = int(np.searchsorted(ends, rest, side="right"))
        before = int(ends[within - 1]) if within else 0
        return period * self.world + within, period * period_size + before
