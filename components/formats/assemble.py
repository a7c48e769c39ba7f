"""Puts what a file holds together as an episode, and turns what goes wrong into errors that name the place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.episode import Episode, Provenance, Stream
from components.core.errors import EpisodeError, FormatError, GriplineError
from components.formats.mapping import PROVENANCE_KEYS, Target

Times = npt.NDArray[np.int64]


@contextmanager
def library_errors(where: str) -> Iterator[None]:
    """Damaged files make libraries raise almost anything; here it becomes a `FormatError` with the place."""
    try:
        yield
    except GriplineError:
        raise
    except Exception as error:
        raise FormatError(f"cannot be read ({_said(error)})", where=where, code="unreadable") from error


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


def numeric_stream(target: Target, time_ns: Times, values: Any, *, where: str) -> Stream:
    """Stream of float64 [N, D] from anything array-like; one number a sample may come as [N].

    Raises `EpisodeError` (wrong_type, wrong_shape, length_mismatch).
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise EpisodeError(
            f"stream {target.stream!r} holds {array.dtype}, expected numbers", where=where, code="wrong_type"
        )
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] == 0 or (target.dim and array.shape[1] != target.dim):
        expected = f"[N, {target.dim or 'D'}]"
        raise EpisodeError(
            f"stream {target.stream!r} is {list(array.shape)}, expected {expected}", where=where, code="wrong_shape"
        )
    require_length(target, len(array), time_ns, where=where)
    return Stream(target.stream, target.kind, time_ns, array.astype(np.float64), target.names)


def image_stream(target: Target, time_ns: Times, values: Any, *, where: str) -> Stream:
    """Stream of uint8 [N, H, W, 3]. Raises `EpisodeError` (wrong_shape, length_mismatch)."""
    array = np.asarray(values)
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] != 3:
        raise EpisodeError(
            f"camera {target.stream!r} is {array.dtype} {list(array.shape)}, expected uint8 [N, H, W, 3]",
            where=where,
            code="wrong_shape",
        )
    require_length(target, len(array), time_ns, where=where)
    return Stream(target.stream, target.kind, time_ns, array)


def require_length(target: Target, count: int, time_ns: Times, *, where: str) -> None:
    if count != len(time_ns):
        raise EpisodeError(
            f"stream {target.stream!r} has {count} samples but {len(time_ns)} timestamps",
            where=where,
            code="length_mismatch",
        )


def build_episode(
    streams: Mapping[str, Stream],
    metadata: Mapping[str, str],
    *,
    instruction: str,
    source_uri: str,
    source_sha256: str,
    source_format: str,
) -> Episode:
    """Episode from streams and the metadata of the file; keys that no field is for go to `extra`."""
    known = {key: metadata[key] for key in PROVENANCE_KEYS if metadata.get(key)}
    used = {*PROVENANCE_KEYS, "task", "instruction", "embodiment"}
    action = streams.get("action")
    return Episode(
        task=metadata.get("task", ""),
        instruction=instruction,
        embodiment=metadata.get("embodiment", ""),
        streams=dict(streams),
        provenance=Provenance(source_uri, source_sha256, source_format, **known),
        rate_hz=action.rate_hz if action is not None else 0.0,
        extra={key: value for key, value in sorted(metadata.items()) if key not in used},
    )
