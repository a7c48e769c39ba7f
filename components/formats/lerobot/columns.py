"""Columns of a data file as numpy: whatever list type they came in, one row of numbers a frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.core.errors import EpisodeError
from components.formats.lazy import ForwardFrames
from components.formats.lerobot.tables import PICTURE_ROWS, Rows, row_batches

Numbers = npt.NDArray[Any]

# Columns by which LeRobot keeps its books; no sensor's.
BOOKKEEPING = ("timestamp", "frame_index", "episode_index", "index", "task_index")
# An episode whose numbers take more than this is a damaged length, not a recording.
_MAX_VALUES = 1 << 27
_MAX_WIDTH = 1 << 16


def quiet_nan() -> np.errstate:
    """Damaged bytes may read as a signalling NaN, of which numpy warns; judging them is not the reader's."""
    return np.errstate(invalid="ignore")


def is_bookkeeping(key: str) -> bool:
    return key in BOOKKEEPING or key.startswith("next.") or key == "observation.time"


def is_list(type_: pa.DataType) -> bool:
    return pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_)


def is_nested(type_: pa.DataType) -> bool:
    """A list of lists a row, as some keep a chunk of actions."""
    return is_list(type_) and is_list(type_.value_type)


def is_numeric(type_: pa.DataType) -> bool:
    """A number, or one list of numbers, a row."""
    value = type_.value_type if is_list(type_) else type_
    return pa.types.is_integer(value) or pa.types.is_floating(value)


def is_text(type_: pa.DataType) -> bool:
    return pa.types.is_string(type_) or pa.types.is_large_string(type_)


def is_inline_picture(type_: pa.DataType) -> bool:
    """Encoded images as bytes, alone or beside their path."""
    if pa.types.is_struct(type_):
        return type_.get_field_index("bytes") >= 0
    return pa.types.is_binary(type_) or pa.types.is_large_binary(type_)


def read_columns(rows: Rows, names: Sequence[str], *, where: str) -> dict[str, Numbers]:
    """Column -> [N, D] of its own dtype, a single number a row as [N]; text as an object array [N].

    Columns that are not there are left out. Raises `FormatError` as `tables.row_batches` does, and `EpisodeError`
    (wrong_shape, wrong_type, missing_value, too_large).
    """
    parts: dict[str, list[Numbers]] = {}
    values = 0
    for batch in row_batches(rows, names, where=where):
        for name in names:
            if batch.schema.get_field_index(name) < 0:
                continue
            part = _as_numpy(batch.column(name), name, where)
            values += part.size
            if values > _MAX_VALUES:
                raise EpisodeError(f"holds more than {_MAX_VALUES} numbers", where=where, code="too_large")
            known = parts.setdefault(name, [])
            if known and known[0].shape[1:] != part.shape[1:]:
                raise _uneven(name, where)
            known.append(part)
    return {name: np.concatenate(known) for name, known in parts.items()}


def _as_numpy(column: pa.Array, name: str, where: str) -> Numbers:
    if column.null_count:
        raise EpisodeError(f"column {name!r} lacks {column.null_count} values", where=where, code="missing_value")
    if is_text(column.type):
        return np.array(column.to_pylist(), dtype=object)
    if not is_list(column.type):
        return _plain(column, name, where)
    lengths = np.unique(_lengths(column))
    if len(lengths) != 1:
        raise _uneven(name, where)
    width = int(lengths[0])
    if not 0 < width <= _MAX_WIDTH:
        raise EpisodeError(f"column {name!r} has lists of {width}", where=where, code="wrong_shape")
    if is_nested(column.type):
        raise EpisodeError(
            f"column {name!r} is {column.type}, expected one list of numbers a row",
            where=where,
            hint="A chunk of actions a row is not read",
            code="wrong_shape",
        )
    return _plain(column.flatten(), name, where).reshape(-1, width)


def _lengths(column: pa.Array) -> Numbers:
    if pa.types.is_fixed_size_list(column.type):
        return np.array([column.type.list_size])
    return column.value_lengths().to_numpy(zero_copy_only=False)


def _plain(column: pa.Array, name: str, where: str) -> Numbers:
    type_ = column.type
    if not (pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_boolean(type_)):
        raise EpisodeError(f"column {name!r} holds {type_}, expected numbers", where=where, code="wrong_type")
    # A number that is null becomes NaN, which the checks judge.
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _uneven(name: str, where: str) -> EpisodeError:
    return EpisodeError(f"column {name!r} changes its width within the episode", where=where, code="wrong_shape")


class InlinePictures(ForwardFrames[bytes]):
    """Encoded images of a column, read a few rows at a time as they are asked for, best front to back."""

    def __init__(self, rows: Rows, column: str, *, where: str) -> None:
        super().__init__(len(rows))
        self._rows, self._column, self._where = rows, column, where

    def _too_few(self, found: int) -> EpisodeError:
        return EpisodeError(f"column {self._column!r} ends early", where=self._where, code="bad_image")

    def _begin(self) -> Iterator[bytes]:
        for batch in row_batches(self._rows, [self._column], where=self._where, batch_rows=PICTURE_ROWS):
            yield from self._bytes(batch.column(self._column))

    def _bytes(self, column: pa.Array) -> Iterable[bytes]:
        for cell in column:
            value = cell.as_py()
            data = value.get("bytes") if isinstance(value, dict) else value
            if not isinstance(data, bytes) or not data:
                raise EpisodeError(
                    f"column {self._column!r} names pictures that are not in the file",
                    where=self._where,
                    hint="Embed them: images beside the table are not read",
                    code="missing_image",
                )
            yield data
