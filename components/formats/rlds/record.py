"""One record as steps: how many there are, and the rows, frames and words of each feature."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.errors import EpisodeError
from components.formats.assemble import library_errors
from components.formats.carried import KEY
from components.formats.rlds.example import Values
from components.formats.rlds.features import Feature

STEPS = "steps/"
METADATA = "episode_metadata/"
# One number a step in every RLDS data set; the first that is there says how many steps a record has.
_COUNTED_BY = ("is_last", "is_first", "is_terminal", "reward", "discount")
# Meaningless on a step that is_last marks: it is the observation after the last action.
NOT_ON_LAST = ("action", "reward", "discount")
_PICTURE_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


@dataclass(frozen=True)
class Record:
    """`count`: steps in the record; `kept`: those up to the first that is_last marks, all where none is.

    `ends`: whether one is marked, so that it has no action. Some data sets never mark one; then the record's end is the
    episode's. `own`: whether gripline wrote it: the last step has an action, and no camera is padding.
    """

    values: Mapping[str, Values]
    features: Mapping[str, Feature]
    count: int
    kept: int
    ends: bool
    own: bool = False

    def full_key(self, key: str) -> str | None:
        """The feature that a mapping means: below the steps, else of the whole episode."""
        return next((full for full in (STEPS + key, key) if full in self.values), None)

    def kept_of(self, full: str) -> int:
        """Samples of a feature: one less than steps for what has no meaning on the last one."""
        below = full.removeprefix(STEPS).split("/")[0]
        is_action = any(below == word or below.startswith(f"{word}_") for word in NOT_ON_LAST)
        return self.kept - 1 if self.ends and is_action else self.kept

    def rows(self, full: str, *, where: str) -> npt.NDArray[Any]:
        """[kept, width] numbers of a feature of the steps. Raises `EpisodeError` (wrong_type, wrong_shape, ...)."""
        values, feature = self.values[full], self.features.get(full)
        if isinstance(values, list):
            values = _packed(values, feature, full, where)
        elif feature and feature.kind == "tensor" and not _agree(feature.dtype, values.dtype):
            said = f"{full!r} holds {values.dtype}, features.json says {feature.dtype}"
            raise EpisodeError(said, where=where, code="wrong_type")
        width = None if feature is None or feature.kind != "tensor" else feature.width
        if width is None:
            width = len(values) // self.count
        if width * self.count != len(values) or not width:
            said = f"{full!r} holds {len(values)} numbers for {self.count} steps of {width}"
            raise EpisodeError(said, where=where, code="wrong_shape")
        return values.reshape(self.count, width)[: self.kept_of(full)]

    def encoded(self, full: str, *, where: str) -> list[bytes]:
        """[kept] encoded pictures of a feature. Raises `EpisodeError` (wrong_type, length_mismatch)."""
        values = self.values[full]
        if not isinstance(values, list):
            raise EpisodeError(f"{full!r} holds {values.dtype}, expected pictures", where=where, code="wrong_type")
        if len(values) != self.count:
            said = f"{full!r} holds {len(values)} pictures for {self.count} steps"
            raise EpisodeError(said, where=where, code="length_mismatch")
        return values[: self.kept]

    def words(self, full: str, *, where: str) -> tuple[str, ...]:
        """Different texts of a feature in the order in which they come. Raises `EpisodeError` (bad_text)."""
        values = self.values[full]
        with library_errors(f"{where} ({full})", code="bad_text"):
            if isinstance(values, list):
                texts = [value.decode() for value in values]
            elif values.dtype == np.int64 and full.startswith(STEPS):
                # A sentence as character codes with zeros behind it, as Language-Table has it.
                texts = [bytes(row[row != 0].tolist()).decode() for row in self.rows(full, where=where)]
            else:
                raise ValueError(f"{values.dtype} is no text")
        if full.startswith(STEPS):
            texts = texts[: self.kept]
        return tuple(dict.fromkeys(text.strip() for text in texts if text.strip()))


def as_record(values: Mapping[str, Values], features: Mapping[str, Feature], *, where: str) -> Record:
    """Raises `EpisodeError` (no_steps)."""
    count = _step_count(values, features)
    if not count:
        listed = ", ".join(list(values)[:8]) or "nothing"
        raise EpisodeError(f"no feature of steps/ holds a step; there are {listed}", where=where, code="no_steps")
    marks = values.get(STEPS + "is_last")
    marked = np.flatnonzero(marks[:count]) if isinstance(marks, np.ndarray) else np.array([], np.int64)
    kept = int(marked[0]) + 1 if len(marked) else count
    own = METADATA + KEY in values
    return Record(values, features, count, kept, bool(len(marked)) and not own, own)


def is_picture(values: Values) -> bool:
    return isinstance(values, list) and bool(values) and values[0].startswith(_PICTURE_MAGIC)


def _step_count(values: Mapping[str, Values], features: Mapping[str, Feature]) -> int:
    for name in _COUNTED_BY:
        if len(values.get(STEPS + name, ())):
            return len(values[STEPS + name])
    samples = []
    for name, found in values.items():
        feature = features.get(name)
        if name.startswith(STEPS) and len(found) and not (feature and feature.ragged):
            width = feature.width if feature and feature.kind == "tensor" and not isinstance(found, list) else 1
            samples.append(len(found) // width if width else 0)
    # Without features.json only a list with one value a step says how many there are: the shortest.
    return min(samples, default=0)


def _packed(values: list[bytes], feature: Feature | None, full: str, where: str) -> npt.NDArray[Any]:
    """Tensors that were written as bytes, one a step. Raises `EpisodeError`."""
    if feature is None or feature.kind != "tensor" or feature.encoding not in ("bytes", "zlib"):
        raise EpisodeError(f"{full!r} holds bytes, expected numbers", where=where, code="wrong_type")
    with library_errors(f"{where} ({full})", code="bad_tensor"):
        dtype = np.dtype(feature.dtype)
        limit = (feature.width or 0) * dtype.itemsize
        raw = [_inflated(value, limit) for value in values] if feature.encoding == "zlib" else values
        if any(len(value) != limit for value in raw):
            raise ValueError(f"a step is not the {limit} bytes of {feature.dtype} {list(feature.shape)}")
        return np.frombuffer(b"".join(raw), dtype)


def _inflated(value: bytes, limit: int) -> bytes:
    """At most a byte more than expected is unpacked, whatever the data asks for."""
    return zlib.decompressobj().decompress(value, limit + 1)


def _agree(said: str, found: np.dtype[Any]) -> bool:
    return said.startswith(("float", "bfloat")) == (found.kind == "f")
