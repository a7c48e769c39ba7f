"""Puts what a file holds together as an episode, and turns what goes wrong into errors that name the place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.episode import CONTROL_SOURCES, PICTURES, Episode, Form, Provenance, Stream
from components.core.errors import EpisodeError, FormatError, GriplineError
from components.formats.mapping import PROVENANCE_KEYS, StreamRule
from components.formats.mapping import Mapping as StreamMapping

Times = npt.NDArray[np.int64]

# Beyond this a float64 of seconds is no time of any robot, and its nanoseconds would not fit into int64.
MAX_SECONDS = 4e9
# Where a format has no clock, its mapping says no rate and the embodiment is not known: steps are this far apart.
FALLBACK_RATE_HZ = 10.0


@contextmanager
def library_errors(where: str, *, code: str) -> Iterator[None]:
    """Damaged files make libraries raise almost anything; here it becomes a `FormatError` with place and `code`.

    `code` says what was being read: bad_chunk, bad_message, bad_schema, bad_dataset, bad_video ...
    """
    try:
        yield
    except GriplineError:
        raise
    except MemoryError as error:
        raise FormatError("asks for more memory than there is", where=where, code="too_large") from error
    except Exception as error:
        raise FormatError(f"cannot be read ({said(error)})", where=where, code=code) from error


def said(error: Exception) -> str:
    """What a library said, on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


def numeric_stream(name: str, rule: StreamRule, time_ns: Times, values: Any, *, where: str) -> Stream:
    """Stream of float64 [N, D] from anything array-like; one number a sample may come as [N].

    Columns chosen by number in `rule.select` are taken here; names are the reader's to resolve.
    Raises `EpisodeError` (wrong_type, wrong_shape, length_mismatch, wrong_value).
    """
    if rule.kind == "control":
        return _control_stream(name, rule, time_ns, values, where=where)
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise EpisodeError(f"stream {name!r} holds {array.dtype}, expected numbers", where=where, code="wrong_type")
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] == 0:
        raise EpisodeError(f"stream {name!r} is {list(array.shape)}, expected [N, D]", where=where, code="wrong_shape")
    columns = [column for column in rule.select if isinstance(column, int)]
    if columns:
        if not all(0 <= column < array.shape[1] for column in columns):
            raise EpisodeError(
                f"stream {name!r} has {array.shape[1]} columns, its mapping asks for {max(columns)}",
                where=where,
                hint="Columns count from 0",
                code="wrong_shape",
            )
        array = array[:, columns]
    if rule.names and len(rule.names) != array.shape[1]:
        raise EpisodeError(
            f"stream {name!r} has {array.shape[1]} columns, expected {len(rule.names)} ({', '.join(rule.names)})",
            where=where,
            code="wrong_shape",
        )
    require_length(name, len(array), time_ns, where=where)
    # A signalling NaN of float32 is still a NaN; the checks find it.
    with np.errstate(invalid="ignore"):
        values = array.astype(np.float64)
    return Stream(name, rule.kind, time_ns, values, rule.names, form_of(rule))


def _control_stream(name: str, rule: StreamRule, time_ns: Times, values: Any, *, where: str) -> Stream:
    """Who moved the robot: words, numbers or truth values of the file through `rule.values`; float64 [N, 1]."""
    known = {key: CONTROL_SOURCES.index(source) for key, source in rule.values.items()}
    known |= {source: index for index, source in enumerate(CONTROL_SOURCES) if source not in known}
    words = [_word(value) for value in np.asarray(values).reshape(len(values), -1)[:, 0]]
    unknown = sorted({word for word in words if word not in known})
    if unknown:
        raise EpisodeError(
            f"stream {name!r} says {', '.join(map(repr, unknown[:3]))}",
            where=where,
            hint=f"Say in `values` of its mapping which of {', '.join(CONTROL_SOURCES)} that is",
            code="wrong_value",
        )
    require_length(name, len(words), time_ns, where=where)
    return Stream(name, rule.kind, time_ns, np.array([[float(known[word])] for word in words]).reshape(-1, 1))


def _word(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value)


def picture_stream(name: str, rule: StreamRule, time_ns: Times, frames: Sequence[Any], *, where: str) -> Stream:
    """Stream of frames, which may be lazy. Raises `EpisodeError` (length_mismatch)."""
    require_length(name, len(frames), time_ns, where=where)
    return Stream(name, rule.kind, time_ns, frames)


def require_length(name: str, count: int, time_ns: Times, *, where: str) -> None:
    if count != len(time_ns):
        raise EpisodeError(
            f"stream {name!r} has {count} samples but {len(time_ns)} timestamps", where=where, code="length_mismatch"
        )


def form_of(rule: StreamRule) -> Form:
    return Form(rule.units, rule.rotation, rule.representation, rule.gripper)


def times_from_seconds(seconds: Any, name: str, *, where: str) -> Times:
    """int64 [N] ns from seconds [N] of any numeric type. Raises `EpisodeError` (bad_time)."""
    array = np.asarray(seconds)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or array.dtype.kind not in "fiu" or not len(array):
        raise EpisodeError(
            f"{name!r} is {array.dtype} {list(array.shape)}, expected seconds [N]", where=where, code="bad_time"
        )
    array = array.astype(np.float64)
    wild = ~(np.abs(array) < MAX_SECONDS)
    if wild.any():
        raise EpisodeError(f"{name!r} holds {array[wild][0]} s", where=where, code="bad_time")
    return np.rint(array * 1e9).astype(np.int64)


def assumed_times(count: int, mapping: StreamMapping, *, default_hz: float = FALLBACK_RATE_HZ) -> Times:
    """int64 [count] ns at the mapping's rate, for formats without a clock. Say so: `extra["clock"] = "assumed"`."""
    return np.rint(np.arange(count) * (1e9 / (mapping.rate_hz or default_hz))).astype(np.int64)


def build_episode(
    streams: Mapping[str, Stream],
    metadata: Mapping[str, str],
    mapping: StreamMapping,
    *,
    source_uri: str,
    source_sha256: str,
    source_format: str,
    calibration: Mapping[str, Any] | None = None,
    carried_id: str = "",
) -> Episode:
    """Episode from streams and what the file says of itself (`metadata`: task, instruction, embodiment, provenance).

    What the file leaves unsaid comes from the mapping's constants, and a task that nothing names is called by its
    instruction. Keys that no field is for go to `extra`.
    Raises `EpisodeError` (missing_stream) where no stream holds a sample.
    """
    if not any(len(stream) for stream in streams.values()):
        raise EpisodeError("no stream holds a sample", where=source_uri, code="missing_stream")
    merged = {**mapping.constants, **{key: value for key, value in metadata.items() if value}}
    known = {key: merged[key] for key in PROVENANCE_KEYS if key in merged}
    used = {*PROVENANCE_KEYS, "task", "instruction", "embodiment"}
    actions = [stream for name, stream in sorted(streams.items()) if stream.kind == "action"]
    main = streams["action"] if "action" in streams else next(iter(actions), None)
    return Episode(
        task=merged.get("task") or merged.get("instruction", ""),
        instruction=merged.get("instruction", ""),
        embodiment=merged.get("embodiment", ""),
        streams=dict(streams),
        provenance=Provenance(source_uri, source_sha256, source_format, **known),
        rate_hz=main.rate_hz if main is not None else 0.0,
        extra={key: value for key, value in sorted(merged.items()) if key not in used},
        calibration=dict(calibration or {}),
        carried_id=carried_id,
    )


def is_picture(rule: StreamRule) -> bool:
    return rule.kind in PICTURES
