"""Camera frames of an HDF5 file, read a few at a time when somebody looks at them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from components.core.errors import EpisodeError, FormatError
from components.formats.assemble import library_errors
from components.formats.hdf5.file import find, open_file, place, require_bounded
from components.formats.hdf5.values import described
from components.formats.images import decode_depth, decode_image
from components.formats.lazy import LazyFrames
from components.formats.mapping import StreamRule

Picture = npt.NDArray[Any] | bytes

_AHEAD = 8
_AHEAD_BYTES = 8 << 20
_CHUNK_BYTES = 64 << 20
_MOST_PIXELS = 64_000_000
_MOST_FRAMES = 50_000_000
# Starts of JPEG and PNG.
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG")


class SharedFile:
    """One handle for all cameras of an episode, opened when the first frame is wanted."""

    def __init__(self, path: Path, group: str, *, where: str) -> None:
        self._path, self._group, self._where = path, group, where
        self._file: h5py.File | None = None

    def dataset(self, name: str) -> h5py.Dataset:
        if self._file is None:
            self._file = open_file(self._path, where=self._where)
        node = find(self._file, f"{self._group}/{name}".strip("/"), where=self._where)
        if not isinstance(node, h5py.Dataset):
            raise FormatError(f"no dataset {name!r} any more", where=self._where, code="missing_stream")
        return node


class Frames(LazyFrames[Picture]):
    """Lazy frames of one dataset, `ahead` of them read at once; only these stay in memory."""

    def __init__(
        self, file: SharedFile, name: str, count: int, ahead: int, convert: Callable[[Any], Picture], *, where: str
    ) -> None:
        self._file, self._name, self._count, self._ahead = file, name, count, ahead
        self._convert, self._where = convert, place(where, name)
        self._dataset: h5py.Dataset | None = None
        self._start, self._block = 0, np.empty(0)

    def __len__(self) -> int:
        return self._count

    def _frame(self, number: int) -> Picture:
        if not self._start <= number < self._start + len(self._block):
            self._read(number - number % self._ahead)
        return self._convert(self._block[number - self._start])

    def _read(self, start: int) -> None:
        if self._dataset is None:
            self._dataset = self._file.dataset(self._name)
        self._block = np.empty(0)
        with library_errors(self._where, code="bad_dataset"):
            self._block = self._dataset[start : min(start + self._ahead, self._count)]
        self._start = start


def frames_of(dataset: h5py.Dataset, rule: StreamRule, file: SharedFile, *, where: str) -> Frames:
    """The frames of a dataset: arrays [N, H, W(, C)], or encoded as bytes, strings or rows padded with zeros.

    Raises `EpisodeError` (wrong_shape) and `FormatError` (too_large ...).
    """
    name = rule.source
    require_bounded(dataset, rows=1, where=place(where, name))
    with library_errors(place(where, name), code="bad_dataset"):
        shape, dtype, chunks = dataset.shape, dataset.dtype, dataset.chunks
        encoded = is_encoded(dataset)
    if not shape or shape[0] > _MOST_FRAMES:
        raise EpisodeError(f"dataset {name!r} is {list(shape)}, expected frames", where=where, code="wrong_shape")
    convert = _converter(rule, shape, dtype, encoded, place(where, name), where, described(dataset))
    return Frames(file, name, shape[0], _ahead(shape, dtype, chunks), convert, where=where)


def _ahead(shape: tuple[int, ...], dtype: np.dtype[Any], chunks: tuple[int, ...] | None) -> int:
    """How many frames are read at once: those of a chunk, which is unpacked as a whole for any part of it."""
    if dtype.kind == "O":
        return _AHEAD
    frame_bytes = max(1, math.prod(shape[1:]) * dtype.itemsize)
    if chunks is None:
        return max(1, min(_AHEAD, _AHEAD_BYTES // frame_bytes))
    return max(1, min(chunks[0], _CHUNK_BYTES // frame_bytes))


def _converter(
    rule: StreamRule, shape: tuple[int, ...], dtype: np.dtype[Any], encoded: bool, at: str, where: str, type_: str
) -> Callable[[Any], Picture]:
    if encoded:
        return _encoded(rule, at)
    fits = _depth_fits if rule.kind == "depth" else _image_fits
    if not fits(shape, dtype) or math.prod(shape[1:3]) > _MOST_PIXELS:
        expected = "uint16 or metres [N, H, W]" if rule.kind == "depth" else "uint8 [N, H, W, 3], JPEG or PNG"
        raise EpisodeError(
            f"dataset {rule.source!r} is {type_} {list(shape)}, expected {expected}", where=where, code="wrong_shape"
        )
    return _depth(rule) if rule.kind == "depth" else _image(rule)


def _image_fits(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    grey = len(shape) == 3 or (len(shape) == 4 and shape[3] == 1)
    return dtype == np.uint8 and 0 not in shape[1:] and (grey or (len(shape) == 4 and shape[3] in (3, 4)))


def _depth_fits(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    flat = len(shape) == 3 or (len(shape) == 4 and shape[3] == 1)
    return flat and 0 not in shape[1:] and (dtype.kind == "f" or (dtype.kind == "u" and dtype.itemsize == 2))


def is_encoded(dataset: h5py.Dataset) -> bool:
    """Whether each sample is a byte string that may be a JPEG or PNG: uint8 [N, L], strings, or uint8 of any length."""
    dtype = dataset.dtype
    inner = h5py.check_vlen_dtype(dtype)
    if inner is not None or h5py.check_string_dtype(dtype) is not None:
        return dataset.ndim == 1 and (inner is None or np.dtype(inner) in (np.uint8, np.int8))
    if dataset.ndim == 2:
        return bool(dtype == np.uint8)
    return dataset.ndim == 1 and dtype.kind in "SV" and dtype.names is None


def looks_encoded(dataset: h5py.Dataset) -> bool:
    """The same, and the first sample begins like a JPEG or PNG. Reads that sample."""
    return is_encoded(dataset) and len(dataset) > 0 and _bytes(dataset[0])[:4].startswith(_MAGIC)


def _bytes(sample: Any) -> bytes:
    """Without the zeros that pad a row to the length of the longest. No JPEG (its last byte is 0xD9) ends in zero."""
    raw = sample.tobytes() if isinstance(sample, np.ndarray | np.void) else bytes(sample)
    return raw.rstrip(b"\0") if raw.startswith(_MAGIC[0]) else raw


def _encoded(rule: StreamRule, at: str) -> Callable[[Any], Picture]:
    if rule.kind == "depth":
        if not rule.flip:
            return _bytes
        return lambda sample: np.ascontiguousarray(decode_depth(_bytes(sample), where=at)[::-1])
    if not rule.flip and rule.order == "rgb":
        return _bytes
    turn = _image(rule)
    return lambda sample: turn(decode_image(_bytes(sample), where=at))


def _image(rule: StreamRule) -> Callable[[Any], Picture]:
    def convert(sample: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        image = sample[..., None] if sample.ndim == 2 else sample
        image = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image[..., :3]
        image = image[::-1] if rule.flip else image
        # A copy: the frame outlives the block that it was read with.
        return np.array(image[..., ::-1] if rule.order == "bgr" else image, order="C")

    return convert


def _depth(rule: StreamRule) -> Callable[[Any], Picture]:
    def convert(sample: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
        depth = sample.reshape(sample.shape[:2])
        depth = depth[::-1] if rule.flip else depth
        if depth.dtype.kind == "f":
            # Metres; what is not a number or lies beyond 65 m counts as nothing seen, 0 mm.
            mm = np.rint(np.nan_to_num(depth.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0) * 1000)
            depth = np.where((mm > 0) & (mm <= 65535), mm, 0)
        return np.array(depth, dtype=np.uint16, order="C")

    return convert
