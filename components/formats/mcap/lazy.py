"""Camera frames that stay in their file until somebody looks at them."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

from components.core.errors import FormatError
from components.formats.lazy import LazyFrames
from components.formats.mcap.pictures import Picture
from components.formats.mcap.records import read_chunk

# Unpacked chunks that are kept: cameras that were recorded together lie in the same ones.
_KEPT_BYTES = 32 << 20
_FIELDS = 5


class MessageStore:
    """Bytes of messages by their place: file, chunk, start, end. Keeps the last few chunks, and no file open."""

    def __init__(self, files: Sequence[Path], where: str) -> None:
        self._files, self._where = files, where
        self._chunks: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._kept = 0

    def read(self, file: int, chunk: int, start: int, end: int) -> bytes:
        """Raises `FormatError` (bad_chunk, truncated) where the file is no longer what it was."""
        try:
            if chunk >= 0:
                return self._chunk(file, chunk)[start:end]
            with self._files[file].open("rb") as stream:
                stream.seek(start)
                data = stream.read(end - start)
        except OSError as error:
            raise FormatError(
                f"cannot be read any more ({error.strerror})", where=self._where, code="unreadable"
            ) from error
        if len(data) < end - start:
            raise FormatError("is shorter than it was", where=self._where, code="truncated")
        return data

    def _chunk(self, file: int, offset: int) -> bytes:
        key = (file, offset)
        if key in self._chunks:
            self._chunks.move_to_end(key)
            return self._chunks[key]
        # Room is made first: two large chunks are never in memory for want of one.
        while self._chunks and self._kept > _KEPT_BYTES // 2:
            self._kept -= len(self._chunks.popitem(last=False)[1])
        data = read_chunk(self._files[file], offset, where=self._where).data
        self._chunks[key] = data
        self._kept += len(data)
        return data


class MessageFrames(LazyFrames[Picture]):
    """Frames of a stream; each is read, unpacked and decoded when it is indexed. Best front to back.

    `places`: five numbers a frame: file, chunk, start, end, and which of `decoders` is for it.
    """

    def __init__(self, store: MessageStore, places: array[int], decoders: Sequence[Callable[[bytes], Picture]]) -> None:
        self._store, self._places, self._decoders = store, places, decoders

    def __len__(self) -> int:
        return len(self._places) // _FIELDS

    def _frame(self, number: int) -> Picture:
        file, chunk, start, end, decoder = self._places[number * _FIELDS : (number + 1) * _FIELDS]
        return self._decoders[decoder](self._store.read(file, chunk, start, end))
