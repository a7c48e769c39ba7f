"""Recordings that other people's programs wrote, with the counts that are known of them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from components.core.errors import FormatError
from components.formats.mcap import reader
from components.formats.mcap.scan import scan

SAMPLES = Path(__file__).resolve().parents[6] / "shared" / "data"
pytestmark = pytest.mark.skipif(
    not (SAMPLES / "mcap").is_dir(), reason="the folder of sample recordings is not beside this repository"
)


def test_a_real_ros2_recording(bags: ModuleType) -> None:
    path = SAMPLES / "mcap" / "rosbag2_2025_09_10-13_03_56_0.mcap"
    recording = bags.opened(path)
    fields = reader.fields(path, "", recording.mapping, where=path.name)
    with_messages = [field for field in fields if field.count]
    assert (len(with_messages), sum(field.count for field in fields)) == (28, 194)
    assert [field.problem for field in with_messages] == [""] * 28
    episode = reader.read_part(recording, "")
    assert {name: (s.kind, len(s)) for name, s in episode.streams.items()} == {
        "compressed_image": ("image", 1),
        "image": ("image", 1),
        "joint_state": ("state", 15),
    }
    image = episode.streams["image"].values[0]
    assert (image.shape, image.dtype) == ((480, 640, 3), np.uint8)
    assert 9 < episode.streams["joint_state"].rate_hz < 10.5
    assert episode.calibration["cameras"]["/camera_info"]["K"][0] == 500.0


@pytest.mark.parametrize(
    ("name", "dialect", "counts"),
    [
        ("mcap/json_example.mcap", "json", {"mouse": 111}),
        ("mcap/simple-protobuf.mcap", "json+protobuf", {"mouse": 292, "pose": 1}),
        ("bad/mcap/test_bad_schema.mcap", "ros2", {"good_data": 10}),
        ("bad/mcap/test_empty_channel.mcap", "ros2", {"active_data": 50, "active_status": 50}),
        ("bad/mcap/test_publish_vs_log_time.mcap", "ros2", {"sensor_value": 50}),
        ("bad/mcap/test_unsupported_encoding.mcap", "ros2", {"ros2_data": 10}),
    ],
)
def test_samples_are_read_with_their_counts(bags: ModuleType, name: str, dialect: str, counts: dict[str, int]) -> None:
    recording = bags.opened(SAMPLES / name)
    assert recording.dialect == dialect
    episode = reader.read_part(recording, "")
    assert {stream: len(episode.streams[stream]) for stream in episode.streams} == counts


def test_times_of_publishing_and_logging_lie_apart(bags: ModuleType) -> None:
    path = SAMPLES / "bad/mcap/test_publish_vs_log_time.mcap"
    rule = {"s": {"from": "/sensor/value", "kind": "state"}}
    log, publish = (
        bags.read(path, bags.mapping(rule, clock=clock)).streams["s"].time_ns for clock in ("log", "publish")
    )
    assert set((log - publish).tolist()) == {500_000_000}


@pytest.mark.parametrize(
    ("name", "messages"),
    [("convert_a", 150), ("convert_b", 75), ("talker", 20), ("wbag", 6074), ("talker/talker.mcap", 20)]
    + [(f"reindex_test_bags/multiple_files/multiple_files_{n}.mcap", c) for n, c in enumerate((1324, 1324, 529))],
)
def test_bags_without_a_robot_are_counted_and_refused(bags: ModuleType, name: str, messages: int) -> None:
    recording = bags.opened(SAMPLES / "mcap" / "rosbag2_py" / name)
    assert recording.problems == ()
    fields = reader.fields(recording.path, "", recording.mapping, where=recording.uri)
    assert sum(field.count for field in fields) == messages
    assert {field.problem for field in fields} == {""}
    with pytest.raises(FormatError, match="none of its topics") as caught:
        reader.read_part(recording, "")
    assert caught.value.code == "missing_stream"


def test_a_cut_sample_is_called_truncated(bags: ModuleType, tmp_path: Path) -> None:
    source = SAMPLES / "mcap/rosbag2_py/wbag/wbag_0.mcap"
    path = tmp_path / source.name
    path.write_bytes(source.read_bytes()[:-100])
    with pytest.raises(FormatError, match="before that are 1246 whole messages") as caught:
        bags.opened(path)
    assert caught.value.code == "truncated"


def test_attachments_are_named_and_left_where_they_are() -> None:
    for name in ("OneAttachment-ax", "OneAttachment-st", "TenMessagesOneAttachment-ax-ch"):
        found = scan(SAMPLES / "mcap" / "conformance" / f"{name}.mcap", where=name)
        assert found.attachments == ["myFile"]


def test_all_conformance_files_are_read_to_their_end(bags: ModuleType) -> None:
    cases = sorted((SAMPLES / "mcap" / "conformance").glob("*.mcap"))
    assert len(cases) >= 136
    for path in cases:
        recording = bags.opened(path)
        counted = sum(field.count for field in reader.fields(path, "", recording.mapping, where=path.name))
        expected = {"One": 1, "Ten": 10}.get(path.name[:3], 0) if "Message" in path.name else 0
        assert counted == expected, path.name
        with pytest.raises(FormatError, match=r"holds no message|none of its topics") as caught:
            reader.read_part(recording, "")
        assert caught.value.code == ("missing_stream" if expected else "no_episodes")
