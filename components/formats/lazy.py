"""Camera frames that stay where they are until somebody takes them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar, overload

Picture = TypeVar("Picture")


class LazyFrames(Sequence[Picture]):
    """Frames by number, each made when it is taken; a slice is a list of them. A reader says how one is made."""

    @abstractmethod
    def _frame(self, number: int) -> Picture:
        """The frame `number`, at least 0 and below the length."""

    @overload
    def __getitem__(self, index: int) -> Picture: ...
    @overload
    def __getitem__(self, index: slice) -> list[Picture]: ...

    def __getitem__(self, index: int | slice) -> Picture | list[Picture]:
        count = len(self)
        if isinstance(index, slice):
            return [self._frame(number) for number in range(count)[index]]
        if not -count <= index < count:
            raise IndexError(f"frame {index} of {count}")
        return self._frame(int(index) % count)


class FrameView(LazyFrames[Picture]):
    """Some frames of a sequence, by their numbers there and in their order."""

    def __init__(self, frames: Sequence[Picture], numbers: Sequence[int]) -> None:
        self._frames, self._numbers = frames, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def _frame(self, number: int) -> Picture:
        return self._frames[int(self._numbers[number])]


class ForwardFrames(LazyFrames[Picture]):
    """`count` frames that come one after the other: front to back costs one pass, going back begins another.

    The last frame taken is kept. What the pass has open is closed once its last frame is there, or where it fails.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._source: Iterator[Picture] | None = None
        self._next = 0
        self._kept: Any = None

    def __len__(self) -> int:
        return self._count

    @abstractmethod
    def _begin(self) -> Iterator[Picture]:
        """A pass from the first frame on."""

    @abstractmethod
    def _too_few(self, found: int) -> Exception:
        """What is wrong where a pass ends after `found` frames."""

    def _frame(self, number: int) -> Picture:
        if number == self._next - 1:
            return self._kept
        if self._source is None or number < self._next:
            self._source, self._next = self._begin(), 0
        try:
            while self._next <= number:
                self._kept = self._taken(self._source)
                self._next += 1
        except BaseException:
            self._source, self._next = None, 0
            raise
        if self._next == self._count:
            self._source = None
        return self._kept

    def _taken(self, frames: Iterator[Picture]) -> Picture:
        for frame in frames:
            return frame
        raise self._too_few(self._next)
