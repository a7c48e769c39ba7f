"""The episodes that a loader goes through, one after the other on one ring of frames."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.core.errors import DatasetError
from components.dataset.parts import Part


@dataclass(frozen=True, eq=False)
class Segments:
    """Consecutive frames within one episode each, int64 [n]: `row` of the episode, `first` frame, `count` frames."""

    row: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]


class EpisodeList:
    """All episodes of the parts, in the order of the parts and therein by episode_id; `row` is the place in this list.

    `source` int64 [E]: part of an episode; `index` int64 [E]: its number in that part's dataset; `length` int64 [E]
    frames; `instruction` int64 [E]: index into `instructions`, which are distinct and sorted.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        if not parts:
            raise DatasetError("no dataset to load")
        self.parts = tuple(parts)
        lengths = [part_lengths(part) for part in parts]
        self.length = np.concatenate(lengths)
        self.index = np.concatenate([part.indices for part in parts]).astype(np.int64)
        self.source = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        self.part_frames = tuple(int(length.sum()) for length in lengths)
        self._ends = np.cumsum(self.length)
        self._starts = self._ends - self.length
        words = [_instructions(part) for part in parts]
        self.instructions: tuple[str, ...] = tuple(sorted({text for known, _ in words for text in known}))
        number = {text: place for place, text in enumerate(self.instructions)}
        self.instruction = np.concatenate(
            [np.array([number[text] for text in known], np.int64)[codes] for known, codes in words]
        )

    def __len__(self) -> int:
        return len(self.length)

    @property
    def frames(self) -> int:
        return int(self._ends[-1])

    def part_of(self, row: int) -> Part:
        return self.parts[int(self.source[row])]

    def place(self, window: int) -> tuple[int, int]:
        """The row of the episode that the frame `window` of the ring belongs to, and the frame in that episode."""
        row = int(np.searchsorted(self._ends, window, side="right"))
        return row, window - int(self._starts[row])

    def segments(self, first: npt.NDArray[np.int64], count: npt.NDArray[np.int64]) -> Segments:
        """Consecutive frames of the ring, cut where an episode ends."""
        pieces: list[tuple[int, int, int]] = []
        for position, left in zip(first.tolist(), count.tolist(), strict=True):
            row, frame = self.place(position)
            while left:
                taken = min(left, int(self.length[row]) - frame)
                pieces.append((row, frame, taken))
                left, row, frame = left - taken, row + 1, 0
        table = np.array(pieces, np.int64).reshape(-1, 3)
        return Segments(table[:, 0], table[:, 1], table[:, 2])


def part_frames(part: Part) -> int:
    """Frames of all episodes of a part."""
    return int(part_lengths(part).sum())


def part_lengths(part: Part) -> npt.NDArray[np.int64]:
    """Frames of each episode of a part, in its order."""
    return part.dataset.lengths[part.rows].astype(np.int64)


def episodes_sha256(part: Part) -> str:
    """Hash of which episodes a part has, whatever their numbers."""
    ids = part.dataset.table(["episode_id"])["episode_id"].combine_chunks().cast(pa.string())
    chosen = ids.take(part.rows)
    # The texts of an array lie one after the other; as Python strings a million of them would cost a second.
    offsets = np.frombuffer(chosen.buffers()[1], np.int32)[chosen.offset : chosen.offset + len(chosen) + 1]
    return hashlib.sha256(memoryview(chosen.buffers()[2])[offsets[0] : offsets[-1]]).hexdigest()


def _instructions(part: Part) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The distinct instructions of a part, and which of them [n] each of its episodes has."""
    column = part.dataset.table(["instruction"])["instruction"].combine_chunks()
    rows = part.rows
    encoded = column.take(rows).cast(pa.string()).dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64)
