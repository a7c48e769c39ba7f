"""A row of a cut list, the same columns in CSV and JSON, and what may stand in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from components.core.episode import CONTROL_SOURCES
from components.core.errors import UsageError
from components.formats.markers import OUTCOMES
from components.formats.spans import ControlSpan, Cut

COLUMNS = ("source", "part", "start_s", "end_s", "task", "instruction", "outcome", "control", "keep", "note", "version")
VERSION = "1"
# Below it a float64 of seconds holds a nanosecond (92 days).
MAX_S = 8_000_000
# Names of cuts count milliseconds; shorter ones could share a name.
_MIN_NS = 1_000_000
_YES, _NO = ("", "yes", "true", "1"), ("no", "false", "0")
_OUTCOMES = ("", *OUTCOMES, "unknown")


@dataclass(frozen=True)
class SourceCut:
    """A cut and the source that it is of: name in the dataset, or file name; "" in a list that lies beside one file."""

    source: str
    cut: Cut


def row_of(entry: SourceCut) -> dict[str, str]:
    """The columns as text; times in seconds with as many decimals as they need."""
    cut = entry.cut
    control = ";".join(f"{c.source}:{seconds(c.start_ns)}-{seconds(c.end_ns)}" for c in cut.control)
    return {
        "source": entry.source,
        "part": cut.part,
        "start_s": seconds(cut.start_ns),
        "end_s": seconds(cut.end_ns),
        "task": cut.task,
        "instruction": cut.instruction,
        "outcome": cut.outcome,
        "control": control,
        "keep": "yes" if cut.keep else "no",
        "note": cut.note,
        "version": VERSION,
    }


def parse_row(row: Mapping[str, Any], where: str) -> SourceCut:
    """Inverse of `row_of`; only the times must be there. Raises `UsageError` naming place, column and value."""
    text = {column: _text(column, row.get(column, ""), where) for column in row}
    unknown = sorted(set(text) - set(COLUMNS))
    if unknown:
        raise UsageError(f"unknown column {unknown[0]!r}", where=where, hint=f"Columns are {', '.join(COLUMNS)}")
    version = text.get("version", "").strip()
    if version not in ("", VERSION):
        raise UsageError(
            f"version is {version!r}, expected {VERSION}", where=where, hint="A newer gripline wrote this list"
        )
    start_ns, end_ns = (parse_seconds(text.get(name, ""), name, where) for name in ("start_s", "end_s"))
    if end_ns - start_ns < _MIN_NS:
        raise UsageError(
            f"end_s is {seconds(end_ns)}, expected at least 0.001 more than start_s, {seconds(start_ns)}", where=where
        )
    cut = Cut(
        start_ns,
        end_ns,
        part=text.get("part", ""),
        task=text.get("task", ""),
        instruction=text.get("instruction", ""),
        outcome=_one_of("outcome", text.get("outcome", ""), _OUTCOMES, where),
        control=_control(text.get("control", ""), start_ns, end_ns, where),
        keep=_one_of("keep", text.get("keep", ""), (*_YES, *_NO), where) in _YES,
        note=text.get("note", ""),
    )
    return SourceCut(text.get("source", ""), cut)


def _text(column: str, value: Any, where: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int | float | Decimal):
        return str(value)
    raise UsageError(f"{column} is {type(value).__name__}, expected text or a number", where=where)


def _one_of(column: str, value: str, allowed: tuple[str, ...], where: str) -> str:
    plain = value.strip().casefold()
    if plain not in allowed:
        names = ", ".join(name or "nothing" for name in allowed)
        raise UsageError(f"{column} is {value!r}, expected one of {names}", where=where)
    return plain


def seconds(time_ns: int) -> str:
    whole, rest = divmod(time_ns, 10**9)
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".")


def parse_seconds(text: str, column: str, where: str) -> int:
    """ns of a number of seconds. Raises `UsageError`."""
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        value = Decimal("NaN")
    if not (value.is_finite() and 0 <= value <= MAX_S):
        raise UsageError(
            f"{column} is {text!r}, expected seconds from 0 to {MAX_S}",
            where=where,
            hint="Write 75.5, not 1:15.5 or 75,5; they count from the first message of the recording",
        )
    return int((value * 10**9).to_integral_value())


def _control(text: str, start_ns: int, end_ns: int, where: str) -> tuple[ControlSpan, ...]:
    """Spans of "human:12.0-15.5;reset:15.5-20", in order, apart from each other and inside of the cut."""
    spans: list[ControlSpan] = []
    for part in filter(None, (part.strip() for part in text.split(";"))):
        source, colon, between = part.partition(":")
        start, dash, end = between.partition("-")
        if not (colon and dash):
            raise UsageError(f"control is {part!r}, expected who:start-end, as human:12.0-15.5", where=where)
        spans.append(
            ControlSpan(
                parse_seconds(start, "control", where),
                parse_seconds(end, "control", where),
                _one_of("control", source, CONTROL_SOURCES, where),
            )
        )
    spans.sort(key=lambda span: (span.start_ns, span.end_ns))
    last_ns = start_ns
    for span in spans:
        if not last_ns <= span.start_ns < span.end_ns <= end_ns:
            raise UsageError(
                f"control {span.source}:{seconds(span.start_ns)}-{seconds(span.end_ns)} is empty, overlaps another or "
                f"leaves the cut {seconds(start_ns)}-{seconds(end_ns)}",
                where=where,
            )
        last_ns = span.end_ns
    return tuple(spans)
