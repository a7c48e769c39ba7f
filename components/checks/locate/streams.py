"""Places of faults in the recorded streams: which of them, and the ticks where the dataset still shows it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.checks.locate.cameras import even, stills
from components.checks.locate.subject import Flags, Place, Subject, arriving, runs, whole
from components.checks.own.clocks import EXPECTED, clocks
from components.checks.own.rows import Rows
from components.checks.table import STREAMS


def each_stream(subject: Subject) -> dict[str, dict[str, float]]:
    """Stream -> the columns of `clocks`, as if it were the only stream of the episode."""
    table, rows = subject.rows.table, subject.streams
    if not rows:
        return {}
    one = table.take([subject.number] * len(rows))
    place = table.schema.get_field_index(STREAMS)
    alone = pa.array([[row] for row in rows], table.schema.field(STREAMS).type)
    one = one.set_column(place, table.schema.field(STREAMS), alone)
    judged = clocks(Rows(pa.concat_tables([table, one]), subject.rows.body), subject.dataset.fps)
    return {
        row["stream"]: {name: float(values[len(table) + number]) for name, values in judged.items()}
        for number, row in enumerate(rows)
    }


def missing_stream(subject: Subject) -> list[Place]:
    has = {row["stream"] for row in subject.streams if row["count"]}
    found = [
        Place("stream", name, "is not there; other recordings of this format have it")
        for name in sorted(_expected(subject) - has)
    ]
    half_s = 0.5 / subject.dataset.fps
    end_s = max((_end(row) for row in subject.streams), default=0.0)
    for row in subject.streams:
        gone_s = max(float(row["start_offset_s"]), end_s - _end(row))
        if row["count"] > 1 and row["kind"] not in ("control", "event") and end_s > 0:
            outside = (subject.time_s < row["start_offset_s"] - half_s) | (subject.time_s > _end(row) + half_s)
            if gone_s / end_s > subject.limit("stream_gone_share"):
                note = f"is there from {row['start_offset_s']:.2f} s to {_end(row):.2f} s of {end_s:.2f} s"
                found.append(Place("stream", row["stream"], note, runs(outside)))
    return found + even(subject)


def _end(row: dict[str, float]) -> float:
    return float(row["start_offset_s"] or 0.0) + float(row["duration_s"] or 0.0)


def _expected(subject: Subject) -> set[str]:
    table = subject.rows.table
    same = table.filter(pc.equal(pc.fill_null(table["source_format"], ""), subject.judged["source_format"] or ""))
    rows = same[STREAMS].combine_chunks().flatten()
    names = rows.field("stream").filter(pc.greater(rows.field("count").cast(pa.float64()), 0))
    counts = pc.value_counts(names).to_pylist()
    return {one["values"] for one in counts if one["counts"] >= EXPECTED * len(same)}


def dropped_frames(subject: Subject) -> list[Place]:
    rows = {row["stream"]: row for row in subject.streams}
    found = []
    for name, facts in each_stream(subject).items():
        if facts["dropped_share"] > subject.limit("dropped_share"):
            row = rows[name]
            note = f"{row['count']} samples in {row['duration_s']:.2f} s, {facts['dropped_share']:.0%} are missing"
            note += f"; the longest gap is {row['max_gap_s']:.2f} s"
            found.append(Place("stream", name, note, runs(stills(subject, name), gap=0)))
    return found


def clock_backwards(subject: Subject) -> list[Place]:
    return _steps(subject, "backwards", "steps back", subject.time_s[1:] < subject.time_s[:-1])


def clock_stopped(subject: Subject) -> list[Place]:
    return _steps(subject, "duplicates", "stands still", subject.time_s[1:] == subject.time_s[:-1])


def _steps(subject: Subject, column: str, what: str, guilty: Flags) -> list[Place]:
    found = []
    if guilty.any():
        found.append(Place("stream", "observation.time", f"{what} {guilty.sum()} times", runs(arriving(guilty), gap=0)))
    return found + [
        Place("stream", row["stream"], f"its clock {what} {row[column]} times")
        for row in subject.streams
        if row[column]
    ]


def clock_jitter(subject: Subject) -> list[Place]:
    return _worst(subject, "clock_jitter", lambda value: f"steps deviate by {value:.0%} of the median step")


def rate_mismatch(subject: Subject) -> list[Place]:
    wanted = subject.rows.body.action.rate_hz
    ticks = subject.own("tick_rate_hz")
    found = [
        Place("stream", row["stream"], f"commands come at {row['rate_hz']:.1f} Hz, the robot takes {wanted:g} Hz")
        for row in subject.streams
        if row["kind"] == "action" and abs(row["rate_hz"] / wanted - 1) > subject.limit("rate_error")
    ]
    if abs(ticks / subject.dataset.fps - 1) > subject.limit("rate_error"):
        found += whole(f"ticks come at {ticks:.1f} Hz, those of the dataset at {subject.dataset.fps} Hz")
    return found


def stream_misaligned(subject: Subject) -> list[Place]:
    found = _worst(subject, "misalignment_ms", lambda value: f"up to {value:.0f} ms from the tick it is used for")
    if (subject.judged.get("action_lag_error") or 0.0) > subject.limit("action_lag_error"):
        lag, off = subject.judged["action_lag_frames"], subject.judged["action_lag_error"]
        note = f"motion comes {lag:+.0f} ticks after its command, {off:.0f} from the usual"
        found.append(Place("stream", "action", note))
    return found


def _worst(subject: Subject, column: str, note: Callable[[float], str]) -> list[Place]:
    return [
        Place("stream", name, note(facts[column]))
        for name, facts in each_stream(subject).items()
        if np.isfinite(facts[column]) and facts[column] > subject.limit(column)
    ]
