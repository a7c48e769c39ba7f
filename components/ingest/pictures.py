"""Camera frames on the ticks of the dataset, decoded when somebody takes them."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from components.core.episode import Stream
from components.core.errors import EpisodeError
from components.formats.images import decode_depth, decode_image
from components.formats.lazy import LazyFrames
from components.ingest.align import Index
from components.transforms.steps import ResizeImages

Pixel = TypeVar("Pixel", bound=np.generic)


class _OnTicks(LazyFrames[npt.NDArray[Pixel]], Generic[Pixel]):
    """T frames of a stream, one in memory at a time; best taken front to back.

    A frame that several ticks in a row take is decoded once, and they get the same array: do not write to it.
    Taking a frame raises `EpisodeError` (bad_image, wrong_shape).
    """

    def __init__(self, stream: Stream, index: Index, where: str) -> None:
        self._stream, self._index, self._where = stream, index, where
        self._shape: tuple[int, ...] = ()
        self._kept: tuple[int, npt.NDArray[Pixel]] | None = None

    def __len__(self) -> int:
        return len(self._index)

    def _frame(self, number: int) -> npt.NDArray[Pixel]:
        sample = int(self._index[number])
        if self._kept is None or self._kept[0] != sample:
            raw: Any = self._stream.values[sample]
            self._kept = (sample, self._finished(self._checked(self._decoded(raw))))
        return self._kept[1]

    @abstractmethod
    def _decoded(self, raw: Any) -> npt.NDArray[Pixel]: ...

    @abstractmethod
    def _finished(self, frame: npt.NDArray[Pixel]) -> npt.NDArray[Pixel]: ...

    @abstractmethod
    def _fits(self, frame: npt.NDArray[Pixel]) -> bool: ...

    def _checked(self, frame: npt.NDArray[Pixel]) -> npt.NDArray[Pixel]:
        name = self._stream.name
        if not self._fits(frame):
            raise self._wrong(f"camera {name!r} gives {frame.dtype} {list(frame.shape)}")
        self._shape = self._shape or frame.shape
        if frame.shape != self._shape:
            both = " and ".join(str(list(shape)) for shape in sorted((frame.shape, self._shape)))
            raise self._wrong(f"camera {name!r} has frames of {both}")
        return frame

    def _wrong(self, message: str) -> EpisodeError:
        return EpisodeError(message, where=self._where, code="wrong_shape")


class Images(_OnTicks[np.uint8]):
    """uint8 [px, px, 3] RGB."""

    def __init__(self, stream: Stream, index: Index, px: int, where: str) -> None:
        super().__init__(stream, index, where)
        self._resize = ResizeImages(px)

    def _decoded(self, raw: Any) -> npt.NDArray[np.uint8]:
        return decode_image(raw, where=self._where)

    def _finished(self, frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        return self._resize.apply(frame[None])[0]

    def _fits(self, frame: npt.NDArray[np.uint8]) -> bool:
        return frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3 and frame.size > 0


class Depths(_OnTicks[np.uint16]):
    """uint16 [H, W] millimetres at the size of the camera: a distance between two surfaces is on neither of them."""

    def _decoded(self, raw: Any) -> npt.NDArray[np.uint16]:
        return decode_depth(raw, where=self._where)

    def _finished(self, frame: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
        return frame

    def _fits(self, frame: npt.NDArray[np.uint16]) -> bool:
        return frame.dtype == np.uint16 and frame.ndim == 2 and frame.size > 0
