from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from components.core.errors import UsageError
from components.formats.annotations import read_annotations
from components.formats.cut_lists import cuts_digest
from components.formats.cut_places import cuts_for, told_digest
from components.formats.cuts import ControlSpan, Cut

S = 10**9
# 2023-11-14T22:13:20Z
ORIGIN_NS = 1_700_000_000 * S


def events(tmp_path: Path, value: Any, name: str = "a.mcap.events.json") -> Path:
    path = tmp_path / name
    path.write_text(json.dumps(value))
    return path


def test_events_as_foxglove_lists_them(tmp_path: Path) -> None:
    """Written to the layout of Foxglove's events API, no real sample."""
    listed = [
        {
            "id": "evt_1",
            "device": {"id": "dev_1", "name": "cell"},
            "start": "2023-11-14T22:13:21.5Z",
            "end": "2023-11-14T23:13:24.000000001+01:00",
            "metadata": {"task": "pour", "instruction": "pour water", "outcome": "failure"},
        },
        {"start": "2023-11-14T22:13:23Z", "end": "2023-11-14T22:13:30Z", "metadata": {"control_source": "human"}},
    ]
    (cut,) = read_annotations(events(tmp_path, listed), origin_ns=lambda: ORIGIN_NS)
    control = (ControlSpan(3 * S, 4 * S + 1, "human"),)
    assert cut == Cut(1_500_000_000, 4 * S + 1, "", "pour", "pour water", "failure", control)


def test_events_of_the_message_schema(tmp_path: Path) -> None:
    """Written to the layout of the schema foxglove.Event, no real sample."""
    event = {
        "start_time": {"sec": 1_700_000_001, "nsec": 5},
        "end_time": {"sec": 1_700_000_002, "nsec": 0},
        "metadata": [{"key": "label", "value": "success"}],
    }
    (cut,) = read_annotations(events(tmp_path, {"events": [event]}), origin_ns=lambda: ORIGIN_NS)
    assert cut == Cut(S + 5, 2 * S, outcome="success")


def test_a_table_of_spans_in_seconds(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("start,end,label\n0.5,2,pick the cup\n1,1.5,reset\n3,4,abort\n")
    assert read_annotations(path) == (
        Cut(S // 2, 2 * S, instruction="pick the cup", control=(ControlSpan(S, S + S // 2, "reset"),)),
        Cut(3 * S, 4 * S, outcome="abort"),
    )


@pytest.mark.parametrize("end", [{"durationNanos": 1500000000}, {"duration": 1.5}, {"endTime": 3.5}])
def test_an_end_or_a_duration(tmp_path: Path, end: dict[str, Any]) -> None:
    assert read_annotations(events(tmp_path, [{"startTime": 2, **end}])) == (Cut(2 * S, 3_500_000_000),)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"end": 1}, r"\[0\]: no start; there are end"),
        ({"start": 1}, r"no end; there are start"),
        ({"start": "noon", "end": 1}, "start is 'noon', expected seconds, an ISO time with its zone"),
        ({"start": "2023-11-14T22:13:21", "end": 1}, "an ISO time with its zone"),
        ({"start": {"sec": "x"}, "end": 1}, "expected seconds"),
        ({"start": {"sec": 1_700_000_000, "nsec": 10**400}, "end": 1}, "expected seconds"),
        ({"start": 5e7, "end": 6e7}, "expected seconds"),
        ({"start": True, "end": 1}, "start is True"),
        ({"start": 1, "duration": "long"}, "duration is 'long', expected a number"),
        ({"start": 2, "end": 2}, "end_s is 2, expected at least 0.001 more"),
        ({"start": 0, "end": 2, "outcome": "won"}, "outcome is 'won'"),
        ({"start": 1.7e9, "end": 2}, "a time of day, but nobody knows"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_annotations(events(tmp_path, [row]))


def test_an_event_before_the_recording_is_refused(tmp_path: Path) -> None:
    path = events(tmp_path, [{"start": ORIGIN_NS - S, "end": ORIGIN_NS + S}])
    with pytest.raises(UsageError, match=r"-1.000 s after the first message"):
        read_annotations(path, origin_ns=lambda: ORIGIN_NS)


@pytest.mark.parametrize("text", ["{", "3", "[3]", '{"events": 3}'])
def test_other_json_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"a\.json: (cannot be read|is no list of events)"):
        read_annotations(path)


def test_two_who_moved_at_once_are_refused(tmp_path: Path) -> None:
    rows = [{"start": 0, "end": 9}, {"start": 1, "end": 3, "label": "human"}, {"start": 2, "end": 4, "label": "reset"}]
    with pytest.raises(UsageError, match=r"\[2\]: reset overlaps human"):
        read_annotations(events(tmp_path, rows))


def test_events_beside_a_recording_cut_it(tmp_path: Path) -> None:
    path = events(tmp_path, [{"start": ORIGIN_NS + 2 * S, "end": ORIGIN_NS + 3 * S}, {"start": 0, "end": 1}])
    recording = path.with_name("a.mcap")
    assert cuts_for(recording, "a.mcap", None, origin_ns=lambda: ORIGIN_NS) == (Cut(0, S), Cut(2 * S, 3 * S))
    events(tmp_path, [{"start": 0, "end": 2}, {"start": 1, "end": 3}])
    with pytest.raises(UsageError, match="goes on to 2"):
        cuts_for(recording, "a.mcap", None)


def test_a_later_event_of_the_day_changes_what_was_told(tmp_path: Path) -> None:
    recording = tmp_path / "a.mcap"
    assert told_digest(recording, "a.mcap", None) == ""
    listed = [{"start": ORIGIN_NS + n * S, "end": ORIGIN_NS + (n + 1) * S} for n in (1, 2)]
    events(tmp_path, listed)
    first = told_digest(recording, "a.mcap", None)
    events(tmp_path, [listed[0], {**listed[1], "metadata": {"outcome": "failure"}}])
    assert told_digest(recording, "a.mcap", None) not in ("", first)
    (tmp_path / "a.cuts.csv").write_text("start_s,end_s\n0,1\n")
    assert told_digest(recording, "a.mcap", None) == cuts_digest([Cut(0, S)])
