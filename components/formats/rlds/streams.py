"""Streams of a record: numbers on the clock of the steps, and pictures that stay in the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.core.episode import Stream
from components.core.errors import EpisodeError
from components.formats.assemble import (
    Times,
    assumed_times,
    is_picture,
    numeric_stream,
    picture_stream,
    times_from_seconds,
)
from components.formats.images import oriented
from components.formats.mapping import Mapping, StreamRule
from components.formats.rlds.features import Feature
from components.formats.rlds.frames import RecordFrames, is_padding, spans_in
from components.formats.rlds.record import STEPS, Record
from components.formats.rlds.tfrecord import Span


@dataclass(frozen=True)
class Source:
    """A record's place in its file, and its bytes while it is read."""

    path: Path
    span: Span
    payload: bytes


def times_of(record: Record, mapping: Mapping, *, where: str) -> Times:
    """int64 [kept]; from the mapping's `time`, else made from its rate."""
    if not mapping.time:
        return assumed_times(record.kept, mapping)
    full = record.full_key(mapping.time)
    if full is None:
        raise EpisodeError(f"no feature {mapping.time!r} with the time", where=where, code="bad_time")
    return times_from_seconds(record.rows(full, where=where), mapping.time, where=where)


def stream_of(
    record: Record, name: str, rule: StreamRule, times: Times, source: Source, *, where: str
) -> Stream | None:
    """The stream that a rule asks for; None for a camera that is padding.

    Raises `EpisodeError` (missing_stream, too_short, wrong_type, wrong_shape, length_mismatch).
    """
    full = record.full_key(rule.source)
    if full is None:
        listed = ", ".join(key.removeprefix(STEPS) for key in list(record.values)[:8])
        raise EpisodeError(
            f"no feature {rule.source!r} for stream {name!r}; there are {listed}", where=where, code="missing_stream"
        )
    if is_picture(rule):
        frames = _frames(record, full, rule, source, where)
        return None if frames is None else picture_stream(name, rule, times, frames, where=where)
    kept = times[: record.kept_of(full)]
    if not len(kept):
        said = f"its only step is the last one, on which {rule.source!r} has no meaning"
        raise EpisodeError(said, where=where, code="too_short")
    if rule.kind == "control" and isinstance(record.values[full], list):
        words = record.values[full][: len(kept)]
        return numeric_stream(name, rule, kept, words, where=where)
    return numeric_stream(name, rule, kept, record.rows(full, where=where), where=where)


def _frames(record: Record, full: str, rule: StreamRule, source: Source, where: str) -> Sequence[Any] | None:
    feature = record.features.get(full)
    if feature.kind != "tensor" if feature else isinstance(record.values[full], list):
        encoded = record.encoded(full, where=where)
        if not record.own and is_padding(encoded):
            return None
        frames: Sequence[Any] = RecordFrames(source.path, spans_in(source.payload, encoded, source.span.offset), where)
    else:
        arrays = _arrays(record, full, rule, feature, where)
        if is_padding(arrays):
            return None
        frames = arrays
    return oriented(frames, rule, where=f"{where} ({full})")


def _arrays(record: Record, full: str, rule: StreamRule, feature: Feature | None, where: str) -> Any:
    """Pictures that were written as numbers: uint8 [kept, H, W, 3], or uint16 [kept, H, W] for depth."""
    shape = feature.shape if feature else ()
    flat = shape[:2] if rule.kind == "depth" and shape[2:] == (1,) else shape
    if len(flat) != (2 if rule.kind == "depth" else 3) or (rule.kind == "image" and shape[-1] != 3):
        said = f"{full!r} is {list(shape)}, which is no {rule.kind}"
        raise EpisodeError(said, where=where, hint="Map it as another kind, or not", code="wrong_shape")
    rows = record.rows(full, where=where)
    limit = np.iinfo(np.uint16 if rule.kind == "depth" else np.uint8)
    if rows.dtype.kind not in "iub" or (rows < limit.min).any() or (rows > limit.max).any():
        raise EpisodeError(f"{full!r} holds {rows.dtype} beyond {limit.dtype}", where=where, code="wrong_type")
    return rows.astype(limit.dtype).reshape(-1, *flat)
