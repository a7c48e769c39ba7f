"""What a record says of itself: its words, and a list of all its features."""

from __future__ import annotations

from components.core.errors import EpisodeError
from components.formats.rlds.example import Values
from components.formats.rlds.features import Feature
from components.formats.rlds.frames import is_padding
from components.formats.rlds.record import METADATA, STEPS, Record, is_picture
from components.formats.source import Field


def words_of(record: Record, key: str, source: str, *, where: str) -> dict[str, str]:
    """The first text of a feature; where it changes within the episode, all of them beside it."""
    full = record.full_key(source) if source else None
    if full is None:
        return {}
    texts = record.words(full, where=where)
    found = {key: texts[0]} if texts else {}
    return found if len(texts) < 2 else {**found, f"{key}s": " | ".join(texts)}


def extra_of(record: Record) -> dict[str, str]:
    """Single texts and numbers of the whole episode."""
    extra = {}
    for name, values in record.values.items():
        if not name.startswith(STEPS) and len(values) == 1 and not is_picture(values):
            value = values[0]
            extra[name.removeprefix(METADATA)] = (
                value.decode(errors="replace") if isinstance(value, bytes) else f"{value:g}"
            )
    return extra


def field_of(record: Record, full: str, stream: str, *, where: str) -> Field:
    """A feature, mapped to `stream` or to nothing; features of the steps are named as below `steps`."""
    values, feature = record.values[full], record.features.get(full)
    name, in_steps = full.removeprefix(STEPS), full.startswith(STEPS)
    count = record.kept_of(full) if in_steps else 1
    shape = feature.shape if feature else _seen_shape(values, record.count if in_steps else 1)
    problem = _problem(record, full, feature, where) if in_steps else ""
    return Field(name, _type(values, feature), shape, count, 0.0, "" if problem else stream, problem)


def _type(values: Values, feature: Feature | None) -> str:
    if feature:
        return f"{feature.dtype}/{feature.encoding}" if feature.kind == "image" else feature.dtype
    if isinstance(values, list):
        return "image" if is_picture(values) else "bytes"
    return str(values.dtype)


def _seen_shape(values: Values, count: int) -> tuple[int, ...]:
    width = len(values) // count
    return () if isinstance(values, list) or width == 1 else (width,)


def _problem(record: Record, full: str, feature: Feature | None, where: str) -> str:
    """Why a feature of the steps is no stream, "" where it can be one."""
    if feature and feature.ragged:
        return "ragged"
    values = record.values[full]
    try:
        if is_picture(values):
            return "padding" if is_padding(record.encoded(full, where=where)) else ""
        if not isinstance(values, list):
            record.rows(full, where=where)
    except EpisodeError as error:
        return error.message
    return ""
