"""Episodes in a long recording: marker topics, buttons, calls of services, silences."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from mcap.writer import IndexType

from components.core.errors import FormatError
from components.formats.mcap import lazy, reader

JOINTS, STRING = "sensor_msgs/msg/JointState", "std_msgs/msg/String"


def motion(bags: ModuleType, seconds: range) -> list[Any]:
    """Joints at 10 Hz during the seconds given."""
    times = [bags.EPOCH + n * bags.SECOND // 10 for second in seconds for n in range(second * 10, second * 10 + 10)]
    return [("/action", JOINTS, at, bags.joints(at, [(at - bags.EPOCH) / 1e9, 0])) for at in times]


def markers(bags: ModuleType, kind: str, said: dict[float, Any]) -> list[Any]:
    return [("/mark", kind, bags.EPOCH + round(at * bags.SECOND), message) for at, message in said.items()]


def spans(bags: ModuleType, path: Path, **episode: Any) -> list[tuple[float, float]]:
    ruling = bags.mapping({"action": {"from": "/action", "kind": "action"}}, episode=episode)
    return [(cut.start_ns / 1e9, cut.end_ns / 1e9) for cut in bags.opened(path, ruling).cuts]


@pytest.mark.parametrize(
    ("kind", "said", "rule"),
    [
        (STRING, {1: {"data": "start"}, 3: {"data": "stop"}, 5: {"data": "start"}, 6: {"data": "stop"}}, {}),
        ("std_msgs/msg/Bool", {1: {"data": True}, 3: {"data": False}, 5: {"data": True}, 6: {"data": False}}, {}),
        (
            "std_msgs/msg/Int32",
            {1: {"data": 4}, 3: {"data": 5}, 5: {"data": 4}, 6: {"data": 5}},
            {"start": ["4"], "stop": ["5"]},
        ),
        ("json:Mark", {1: {"e": "start"}, 3: {"e": "stop"}, 5: {"e": "start"}, 6: {"e": "stop"}}, {}),
    ],
)
@pytest.mark.parametrize("options", [{}, {"use_chunking": False}, {"index_types": IndexType.NONE}])
def test_a_marker_topic_cuts(
    bags: ModuleType,
    tmp_path: Path,
    kind: str,
    said: dict[float, Any],
    rule: dict[str, Any],
    options: dict[str, Any],
) -> None:
    entries = sorted(motion(bags, range(8)) + markers(bags, kind, said), key=lambda entry: entry[2])
    path = bags.write(tmp_path / "a.mcap", entries, **options)
    assert spans(bags, path, by="marker", topic="/mark", **rule) == [(1, 3), (5, 6)]


def test_buttons_count_when_they_are_pressed(bags: ModuleType, tmp_path: Path) -> None:
    def joy(*buttons: int) -> dict[str, Any]:
        return {"header": bags.header(0), "axes": [], "buttons": list(buttons)}

    said = {1.0: joy(1, 0), 1.5: joy(1, 0), 2.0: joy(0, 0), 3.0: joy(0, 1), 3.5: joy(0, 1)}
    path = bags.write(tmp_path / "a.mcap", motion(bags, range(5)) + markers(bags, "sensor_msgs/msg/Joy", said))
    assert spans(bags, path, by="marker", topic="/mark", start=["button0"], stop=["button1"]) == [(1, 3)]


# Text of std_srvs/srv/SetBool and Trigger as a recorder stores it for their events, and the layout that rosidl gives
# an event; written to the layout of rosbag2 with service introspection, no real sample.
SET_BOOL = "bool data # on or off\n---\nbool success\nstring message\n"
TRIGGER = "---\nbool success\nstring message\n"


def call(bags: ModuleType, kind: int, definition: str, request: list[Any]) -> bytes:
    from components.formats.mcap.services import service_definition

    info = {"event_type": kind, "stamp": {"sec": 1, "nanosec": 2}, "client_gid": [7] * 16, "sequence_number": 5}
    message = {"info": info, "request": request, "response": []}
    name, event = service_definition("std_srvs/srv/Call_Event", definition)
    return bytes(bags.cdr(name, message, event))


@pytest.mark.parametrize(
    ("definition", "requests", "rule", "expected"),
    [
        (SET_BOOL, [{"data": True}, {"data": False}], {}, [(1, 3)]),
        (TRIGGER, [{}, {}], {"start": ["call"]}, [(1, 3), (3, 5)]),
        (f"{'=' * 80}\nSRV: std_srvs/srv/Call\n{SET_BOOL}", [{"data": True}, {"data": False}], {}, [(1, 3)]),
    ],
)
def test_calls_of_a_service_cut(
    bags: ModuleType,
    tmp_path: Path,
    definition: str,
    requests: list[Any],
    rule: dict[str, Any],
    expected: list[tuple[float, float]],
) -> None:
    # Sent, received, answered, answer received: one call.
    messages = [
        (at, call(bags, kind, definition, [request] if kind < 2 else []))
        for at, request in zip((1, 3), requests, strict=True)
        for kind in range(4)
    ]
    entries = motion(bags, range(5))
    path, text = tmp_path / "a.mcap", definition.encode()
    bags.DEFINITIONS["std_srvs/srv/Call_Event"] = text.decode()
    marks = [("/mark", "std_srvs/srv/Call_Event", bags.EPOCH + at * bags.SECOND, data) for at, data in messages]
    bags.write(path, sorted(entries + marks, key=lambda entry: entry[2]))
    found = spans(bags, path, by="marker", topic="/mark", **rule)
    assert [(start, round(end, 1)) for start, end in found] == [(s, min(e, 4.9)) for s, e in expected]


def test_silence_cuts(bags: ModuleType, tmp_path: Path) -> None:
    path = bags.write(tmp_path / "a.mcap", motion(bags, range(2)) + motion(bags, range(5, 8)))
    assert spans(bags, path, by="gap", gap_s=2) == [(0, 1.900000001), (5, 7.900000001)]
    assert spans(bags, path, by="gap", gap_s=5) == [(0, 7.900000001)]


@pytest.mark.parametrize("options", [{}, {"index_types": IndexType.NONE}])
def test_a_damaged_chunk_is_no_silence(bags: ModuleType, tmp_path: Path, options: dict[str, Any]) -> None:
    path = bags.write(tmp_path / "a.mcap", motion(bags, range(12)), chunk_size=512, **options)
    data, places = bytearray(path.read_bytes()), []
    offset = 8
    while offset < len(data) - 8:
        length = int.from_bytes(data[offset + 1 : offset + 9], "little")
        if data[offset] == 6:
            places.append(offset + length)
        offset += 9 + length
    data[places[len(places) // 2]] ^= 1
    path.write_bytes(data)
    ruling = bags.mapping(
        {"action": {"from": "/action", "kind": "action"}}, episode={"by": "gap", "gap_s": 0.3, "min_s": 0}
    )
    recording = bags.opened(path, ruling)
    assert [problem.code for problem in recording.problems] == ["bad_chunk"]
    assert recording.cuts
    # It moved all the time: whatever is cut out of it lacks something.
    for cut in recording.cuts:
        with pytest.raises(FormatError, match=r"a\.mcap chunk at byte \d+: ") as caught:
            reader.read_range(recording, "", cut.start_ns, cut.end_ns)
        assert caught.value.code == "bad_chunk"


def test_a_span_is_read_without_the_rest_and_told_what_held_before(
    bags: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {0.0: {"data": "pick"}, 4.5: {"data": "place"}, 9.0: {"data": "home"}}
    texts = [("/instruction", STRING, bags.EPOCH + round(at * bags.SECOND), word) for at, word in said.items()]
    entries = sorted(motion(bags, range(12)) + texts, key=lambda entry: entry[2])
    path = bags.write(tmp_path / "a.mcap", entries, chunk_size=512)
    ruling = bags.mapping({"action": {"from": "/action", "kind": "action"}}, instruction="/instruction")
    recording = bags.opened(path, ruling)
    read: list[int] = []
    from components.formats.mcap import gather

    original = gather.read_chunk
    monkeypatch.setattr(gather, "read_chunk", lambda *args, **kw: read.append(args[1]) or original(*args, **kw))
    s = bags.SECOND
    part = reader.read_range(recording, "", 2 * s, 3 * s)
    np.testing.assert_allclose(part.streams["action"].values[:, 0], np.arange(2, 3, 0.1))
    assert (part.instruction, lazy.__name__) == ("pick", "components.formats.mcap.lazy")
    assert len(read) < 8
    assert reader.read_range(recording, "", 4 * s, 6 * s).instruction == "place"
    assert reader.read_range(recording, "", 10 * s, 11 * s).instruction == "home"
    assert reader.read_part(recording, "").instruction == "pick"


def test_a_marker_topic_that_is_not_there_is_named(bags: ModuleType, tmp_path: Path) -> None:
    path = bags.write(tmp_path / "a.mcap", motion(bags, range(1)))
    with pytest.raises(FormatError, match="episodes are cut by topic '/mark', which is not there") as caught:
        spans(bags, path, by="marker", topic="/mark")
    assert caught.value.code == "missing_marker"


def test_a_marker_that_says_nothing_is_refused(bags: ModuleType, tmp_path: Path) -> None:
    path = bags.write(tmp_path / "a.mcap", motion(bags, range(1)) + markers(bags, "json:Mark", {0.5: {"none": None}}))
    with pytest.raises(FormatError, match=r"^a\.mcap /mark: holds no text and no number") as caught:
        spans(bags, path, by="marker", topic="/mark")
    assert caught.value.code == "wrong_type"
