"""Cuts from what other tools wrote: events exported from Foxglove, and tables of start, end and label (CSV, JSON).

A label, or `control_source`, that is one of `core.episode.CONTROL_SOURCES` says who moved the robot in the cut around
it; an outcome is one; any other label is the instruction. Spans are read as half-open, so that events may adjoin.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from components.core.episode import CONTROL_SOURCES
from components.core.errors import UsageError
from components.formats.cut_rows import MAX_S, parse_row, seconds
from components.formats.markers import OUTCOMES
from components.formats.spans import ControlSpan, Cut

_START = ("start", "start_s", "startTime", "start_time", "begin")
_END = ("end", "end_s", "endTime", "end_time", "stop")
_DURATION = ("duration", "duration_s", "durationNanos")
_LABEL = ("label", "name", "tag", "title")
# Unix times between 2001 and 2096, in seconds and in nanoseconds.
_EPOCH_S = (10**9, 4 * 10**9)
_FRACTION = re.compile(r"[.,](\d+)")

Origin = Callable[[], int]


def read_annotations(path: Path, *, origin_ns: Origin | None = None) -> tuple[Cut, ...]:
    """Cuts in the order of their rows. Numbers are seconds since the first message; ISO times, {"sec", "nsec"} and Unix
    times count from `origin_ns`, the Unix time of the first message. Raises `UsageError` naming row, column and value.
    """
    cuts, control = [], []
    for where, row in _rows(path):
        start_ns = _time(row, _START, where, origin_ns)
        end_ns = _end(row, start_ns, where, origin_ns)
        said = _said(row)
        label = said.pop("label", "")
        who = (said.pop("control_source", "") or label).strip().casefold()
        if who in CONTROL_SOURCES:
            control.append((where, ControlSpan(start_ns, end_ns, who)))
            continue
        if label.strip().casefold() in OUTCOMES:
            said.setdefault("outcome", label)
        elif label:
            said.setdefault("instruction", label)
        cut = parse_row({"start_s": seconds(start_ns), "end_s": seconds(end_ns), **said}, where).cut
        cuts.append(cut)
    return tuple(_with_control(cuts, control))


def _with_control(cuts: list[Cut], control: list[tuple[str, ControlSpan]]) -> list[Cut]:
    for where, span in sorted(control, key=lambda one: (one[1].start_ns, one[1].end_ns)):
        around = [n for n, cut in enumerate(cuts) if cut.start_ns < span.end_ns and span.start_ns < cut.end_ns]
        for number in around:
            cut = cuts[number]
            inside = replace(span, start_ns=max(span.start_ns, cut.start_ns), end_ns=min(span.end_ns, cut.end_ns))
            if cut.control and cut.control[-1].end_ns > inside.start_ns:
                raise UsageError(f"{span.source} overlaps {cut.control[-1].source}", where=where)
            cuts[number] = replace(cut, control=(*cut.control, inside))
    return cuts


def _rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
        if path.suffix.lower() != ".json":
            rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
            return [(f"{path.name}: line {rows.line_num}", {k: v for k, v in row.items() if k and v}) for row in rows]
        raw = json.loads(text, parse_float=str)
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise UsageError(f"cannot be read ({error})", where=path.name) from error
    if isinstance(raw, dict):
        raw = raw.get("events", raw.get("annotations"))
    if not isinstance(raw, list) or not all(isinstance(row, dict) for row in raw):
        raise UsageError("is no list of events", where=path.name, hint='Expected [{"start": ..., "end": ...}, ...]')
    return [(f"{path.name}: [{number}]", row) for number, row in enumerate(raw)]


def _said(row: Mapping[str, Any]) -> dict[str, str]:
    """Words of an event, of its metadata (an object, or a list of key and value) and of its properties."""
    flat: dict[str, Any] = {**row}
    for name in ("properties", "metadata"):
        inner = row.get(name)
        if isinstance(inner, list):
            inner = {str(pair["key"]): pair.get("value") for pair in inner if isinstance(pair, dict) and "key" in pair}
        flat |= inner if isinstance(inner, dict) else {}
    label = next((flat[name] for name in _LABEL if flat.get(name)), "")
    known = {
        name: flat[name]
        for name in ("task", "instruction", "outcome", "note", "keep", "control_source", "part")
        if flat.get(name) not in (None, "")
    }
    return {name: str(value) for name, value in {**known, "label": label}.items()}


def _end(row: Mapping[str, Any], start_ns: int, where: str, origin_ns: Origin | None) -> int:
    name = next((name for name in _DURATION if row.get(name) not in (None, "")), "")
    if not name or any(row.get(end) not in (None, "") for end in _END):
        return _time(row, _END, where, origin_ns)
    length = _number(row[name])
    if length is None or not 0 <= length <= MAX_S * (10**9 if name == "durationNanos" else 1):
        raise UsageError(f"{name} is {row[name]!r}, expected a number", where=where)
    return start_ns + int(length if name == "durationNanos" else length * 10**9)


def _time(row: Mapping[str, Any], names: tuple[str, ...], where: str, origin_ns: Origin | None) -> int:
    name = next((name for name in names if row.get(name) not in (None, "")), "")
    if not name:
        raise UsageError(f"no {names[0]}; there are {', '.join(map(str, row)) or 'no columns'}", where=where)
    value = row[name]
    number = _number(value)
    if number is not None and 0 <= number <= MAX_S:
        return int(number * 10**9)
    unix_ns = _unix_ns(value, number)
    if unix_ns is None:
        raise UsageError(
            f"{name} is {value!r}, expected seconds, an ISO time with its zone or {{sec, nsec}}", where=where
        )
    if origin_ns is None:
        raise UsageError(
            f"{name} is {value!r}, a time of day, but nobody knows that of this recording's first message",
            where=where,
            hint="Give seconds since its first message",
        )
    since_ns = unix_ns - origin_ns()
    if not 0 <= since_ns <= MAX_S * 10**9:
        raise UsageError(f"{name} is {value!r}, {since_ns / 1e9:.3f} s after the first message", where=where)
    return since_ns


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    try:
        found = Decimal(str(value).strip())
    except ArithmeticError:
        return None
    return found if found.is_finite() else None


def _unix_ns(value: Any, number: Decimal | None) -> int | None:
    if isinstance(value, dict):
        sec, nsec = value.get("sec"), value.get("nsec", value.get("nanosec", 0))
        if not (isinstance(sec, int) and isinstance(nsec, int)):
            return None
        return sec * 10**9 + nsec if 0 <= sec <= _EPOCH_S[1] and 0 <= nsec < 10**9 else None
    if number is not None:
        low, high = _EPOCH_S
        if low <= number <= high:
            return int(number * 10**9)
        return int(number) if low * 10**9 <= number <= high * 10**9 else None
    if not isinstance(value, str):
        return None
    # datetime keeps microseconds; the rest of the fraction is added by hand.
    fraction = _FRACTION.search(value)
    try:
        when = datetime.fromisoformat(_FRACTION.sub("", value.strip(), count=1))
    except ValueError:
        return None
    if when.tzinfo is None:
        return None
    return int(when.timestamp()) * 10**9 + (int(fraction[1][:9].ljust(9, "0")) if fraction else 0)
