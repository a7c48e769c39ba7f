"""What is found in a recording without a mapping: the guess, the fields, and topics that nobody can decode."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml

from components.core.errors import EpisodeError, FormatError
from components.formats.mcap import reader

JOINTS, IMAGE, STRING = "sensor_msgs/msg/JointState", "sensor_msgs/msg/CompressedImage", "std_msgs/msg/String"
XYZ = {"x": 1.0, "y": 2.0, "z": 3.0}


def everything(bags: ModuleType, stamp: int) -> list[Any]:
    at = bags.EPOCH
    header = {"header": bags.header(stamp)}
    wrench = header | {"wrench": {"force": XYZ, "torque": XYZ}}
    joints = bags.joints(stamp, [1, 2])
    return [
        ("/cam/left/image_raw/compressed", IMAGE, at, bags.compressed(stamp, bags.jpeg())),
        ("/joint_states", JOINTS, at, joints),
        ("/gripper_cmd", "std_msgs/msg/Float64", at, {"data": 0.5}),
        ("/arm_command", JOINTS, at, joints),
        ("/ft_sensor", "geometry_msgs/msg/WrenchStamped", at, wrench),
        ("/rosout_text", STRING, at, {"data": "hello"}),
        ("/task_prompt", STRING, at, {"data": "stack the cups"}),
        ("/language_instruction", STRING, at, {"data": "pour water"}),
        ("/language_instruction", STRING, at + 1, {"data": "and again"}),
    ]


def test_streams_are_guessed_by_the_types_and_names_of_topics(bags: ModuleType, tmp_path: Path) -> None:
    path = bags.write(tmp_path / "a.mcap", everything(bags, bags.EPOCH))
    recording = bags.opened(path)
    ruling = recording.mapping
    assert {name: (rule.source, rule.kind) for name, rule in ruling.streams.items()} == {
        "action": ("/arm_command", "action"),
        "cam_left": ("/cam/left/image_raw/compressed", "image"),
        "ft_sensor": ("/ft_sensor", "force"),
        "gripper_cmd": ("/gripper_cmd", "action"),
        "joint_states": ("/joint_states", "state"),
    }
    assert (ruling.name, ruling.clock, ruling.instruction) == ("guessed", "header", "/language_instruction")
    assert ruling.streams["action"].names == ("a", "b")
    episode = reader.read_part(recording, "")
    assert episode.instruction == "pour water"
    assert {name: len(stream) for name, stream in episode.streams.items()} == dict.fromkeys(ruling.streams, 1)
    # What is shown can be written down and given back.
    assert type(ruling).model_validate(yaml.safe_load(ruling.as_yaml())) == ruling


def test_the_topic_called_action_is_the_action(bags: ModuleType, tmp_path: Path) -> None:
    entries = [
        (topic, "std_msgs/msg/Float64", bags.EPOCH + n, {"data": 1.0})
        for n, topic in enumerate(["/cmd", "/cmd", "/command", "/teleop/action"])
    ]
    streams = bags.opened(bags.write(tmp_path / "a.mcap", entries)).mapping.streams
    assert {name: rule.source for name, rule in streams.items()} == {
        "action": "/teleop/action",
        "cmd": "/cmd",
        "command": "/command",
    }


def test_a_guess_goes_by_the_log_where_nobody_set_the_stamps(bags: ModuleType, tmp_path: Path) -> None:
    path = bags.write(tmp_path / "a.mcap", everything(bags, 0))
    episode = bags.read(path)
    assert bags.opened(path).mapping.clock == "log"
    assert {int(stream.time_ns[0]) for stream in episode.streams.values()} == {bags.EPOCH}


def test_undecodable_topics_are_skipped_by_name(bags: ModuleType, tmp_path: Path) -> None:
    good = bags.cdr("std_msgs/msg/Float64", {"data": 2.5})
    nested = b"lab_msgs/Missing part"
    channels = [
        ("/good", "cdr", "std_msgs/msg/Float64", "ros2msg", b"float64 data", [good, good]),
        ("/garbage", "cdr", "lab_msgs/Broken", "ros2msg", b"THIS IS NOT }{", [good]),
        ("/latin", "cdr", "lab_msgs/Latin", "ros2msg", b"float64 \xff", [good]),
        ("/nested", "cdr", "lab_msgs/Nested", "ros2msg", nested, [good]),
        ("/short", "cdr", "std_msgs/msg/Float64", "ros2msg", b"float64 data", [b"\0\1"]),
        ("/idl", "cdr", "lab_msgs/Idl", "ros2idl", b"struct A {};", [good]),
        ("/proto", "protobuf", "lab.A", "proto", b"syntax = 'proto3';", [b"\x08\x01"]),
        ("/descriptor", "protobuf", "lab.A", "protobuf", b"no descriptor", [b"\x08\x01"]),
        ("/tamer", "data_tamer", "lab", "data_tamer", b"float64 a", [good]),
        ("/rmw", "wrong_format", "std_msgs/msg/String", "ros2msg", b"string data", [good]),
        ("/json", "json", "A", "jsonschema", b"{}", [b"{", b"[1"]),
        ("/uuids", "cdr", "lab_msgs/Ids", "ros2msg", b"lab_msgs/Id[] ids\n===\nMSG: lab_msgs/Id\nuint8[16] id", [good]),
    ]
    path = bags.write_raw(tmp_path / "a.mcap", channels)
    recording = bags.opened(path)
    fields = {field.name: field for field in reader.fields(path, "", recording.mapping, where="a.mcap")}
    assert {name: field.problem.split(":")[0] for name, field in fields.items()} == {
        "/good": "",
        "/garbage": "bad_schema",
        "/latin": "bad_schema",
        "/nested": "bad_message",
        "/short": "bad_message",
        "/idl": "unsupported_encoding",
        "/proto": "unsupported_encoding",
        "/descriptor": "bad_schema",
        "/tamer": "unsupported_encoding",
        "/rmw": "unsupported_encoding",
        "/json": "bad_message",
        "/uuids": "bad_schema",
    }
    assert (fields["/good"].stream, fields["/good"].shape, fields["/good"].rate_hz) == ("good", (1,), 10.0)
    assert list(reader.read_part(recording, "").streams) == ["good"]
    for topic, field in fields.items():
        if field.problem:
            with pytest.raises(FormatError, match=rf"^a\.mcap {topic}: ") as caught:
                bags.read(path, bags.mapping({"s": {"from": topic, "kind": "state"}}))
            assert caught.value.code == field.problem.split(":")[0]


def test_an_unsupported_encoding_says_what_is_read(bags: ModuleType, tmp_path: Path) -> None:
    path = bags.write_raw(tmp_path / "a.mcap", [("/t", "cbor", "A", "", b"", [b"\xa0"])])
    with pytest.raises(
        EpisodeError, match=r"encoded as cbor with no schema, which is not read. Read are cdr with ros2msg"
    ):
        bags.read(path, bags.mapping({"s": {"from": "/t", "kind": "state"}}))


def test_one_topic_may_be_several_streams(bags: ModuleType, tmp_path: Path) -> None:
    path = bags.write(tmp_path / "a.mcap", [("/j", JOINTS, bags.EPOCH, bags.joints(bags.EPOCH, [1, 2]))])
    ruling = bags.mapping(
        {
            "one": {"from": "/j", "kind": "state", "select": ["a"]},
            "two": {"from": "/j", "kind": "action", "select": [1]},
        }
    )
    episode = bags.read(path, ruling)
    assert episode.streams["one"].values.tolist() == [[1.0]]
    assert episode.streams["two"].values.tolist() == [[2.0]]
    listed = reader.fields(path, "", ruling, where="a.mcap")
    assert [(field.name, field.stream) for field in listed] == [("/j", "one"), ("/j", "two")]


def test_two_channels_of_a_topic_are_one_stream(bags: ModuleType, tmp_path: Path) -> None:
    good = [bags.cdr("std_msgs/msg/Float64", {"data": float(n)}) for n in range(3)]
    more = [b'{"data": 7}']
    channels = [
        ("/v", "cdr", "std_msgs/msg/Float64", "ros2msg", b"float64 data", good),
        ("/v", "json", "std_msgs/msg/Float64", "jsonschema", b"{}", more),
    ]
    ruling = bags.mapping({"v": {"from": "/v", "kind": "state"}}, clock="log")
    values = bags.read(bags.write_raw(tmp_path / "a.mcap", channels), ruling).streams["v"].values
    np.testing.assert_array_equal(np.sort(values[:, 0]), [0, 1, 2, 7])


def camera(bags: ModuleType, focal: float, at: int) -> dict[str, Any]:
    roi = {"x_offset": 0, "y_offset": 0, "height": 0, "width": 0, "do_rectify": False}
    matrices = {"d": [0.1, float("nan")], "k": [focal] * 9, "r": [0.0] * 9, "p": [0.0] * 12}
    size = {"height": 480, "width": 640, "distortion_model": "plumb_bob", "binning_x": 0, "binning_y": 0}
    return {"header": bags.header(at, "optical"), "roi": roi, **matrices, **size}


def transform(bags: ModuleType, child: str, x: float) -> dict[str, Any]:
    turn = {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}
    body = {"translation": XYZ | {"x": x}, "rotation": turn}
    return {"transforms": [{"header": bags.header(0, "base"), "child_frame_id": child, "transform": body}]}


def calibrated(bags: ModuleType) -> list[Any]:
    at, s = bags.EPOCH, bags.SECOND
    return [
        ("/tf_static", "tf2_msgs/msg/TFMessage", at, transform(bags, "cam", 1.0)),
        ("/tf_static", "tf2_msgs/msg/TFMessage", at, transform(bags, "arm", 2.0)),
        ("/cam/camera_info", "sensor_msgs/msg/CameraInfo", at, camera(bags, 500.0, at)),
        *(("/joints", JOINTS, at + n * s // 10, bags.joints(at + n * s // 10, [n, n])) for n in range(60)),
        ("/tf_static", "tf2_msgs/msg/TFMessage", at + 7 * s, transform(bags, "cam", 9.0)),
        ("/cam/camera_info", "sensor_msgs/msg/CameraInfo", at + 7 * s, camera(bags, 600.0, at)),
        ("/joints", JOINTS, at + 8 * s, bags.joints(at + 8 * s, [0, 0])),
    ]


def test_cameras_and_fixed_transforms_become_the_calibration(bags: ModuleType, tmp_path: Path) -> None:
    episode = bags.read(bags.write(tmp_path / "a.mcap", calibrated(bags)))
    seen = episode.calibration
    assert seen["cameras"]["/cam/camera_info"]["K"] == [500.0] * 9
    assert seen["cameras"]["/cam/camera_info"]["D"] == [0.1, None]
    assert [seen["cameras"]["/cam/camera_info"][key] for key in ("frame_id", "width")] == ["optical", 640]
    assert [(t["child"], t["parent"], t["translation"][0]) for t in seen["transforms"]] == [
        ("arm", "base", 2.0),
        ("cam", "base", 9.0),
    ]
    assert len(episode.provenance.calibration_digest) == 64
    named = bags.read(bags.write(tmp_path / "b.mcap", calibrated(bags), metadata={"calibration_digest": "d" * 64}))
    assert named.provenance.calibration_digest == "d" * 64
    assert named.calibration == seen


@pytest.mark.parametrize("chunked", [True, False])
def test_a_span_has_the_calibration_that_held_in_it(bags: ModuleType, tmp_path: Path, chunked: bool) -> None:
    path = bags.write(tmp_path / "a.mcap", calibrated(bags), use_chunking=chunked)
    recording, s = bags.opened(path), bags.SECOND
    early = reader.read_range(recording, "", 4 * s, 5 * s).calibration
    assert early["cameras"]["/cam/camera_info"]["K"][0] == 500.0
    assert [t["translation"][0] for t in early["transforms"]] == [2.0, 1.0]
    late = reader.read_range(recording, "", 6 * s, 9 * s).calibration
    assert late["cameras"]["/cam/camera_info"]["K"][0] == 600.0
    assert [t["translation"][0] for t in late["transforms"]] == [2.0, 9.0]


def test_a_calibration_that_cannot_be_read_is_left_out_by_name(bags: ModuleType, tmp_path: Path) -> None:
    data = bags.cdr("std_msgs/msg/Float64", {"data": 2.5})
    channels = [
        ("/v", "cdr", "std_msgs/msg/Float64", "ros2msg", b"float64 data", [data]),
        ("/a/camera_info", "cdr", "sensor_msgs/msg/CameraInfo", "ros2msg", b"float64 data", [data[:3]]),
        ("/b/camera_info", "json", "foxglove.CameraCalibration", "jsonschema", b"{}", [b'{"K": "x"}']),
    ]
    episode = bags.read(bags.write_raw(tmp_path / "a.mcap", channels))
    assert episode.calibration == {}
    assert episode.provenance.calibration_digest == ""
    assert episode.extra["calibration_skipped"] == "/a/camera_info (bad_message), /b/camera_info (wrong_type)"
