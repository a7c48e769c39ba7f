"""Every kind of message as the numbers or frames of a stream."""

from __future__ import annotations

import base64
import io
import struct
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.core.errors import EpisodeError, FormatError
from components.formats.images import decode_depth, decode_image

XYZ = {"x": 1.0, "y": 2.0, "z": 3.0}
TURN = {"x": 0.0, "y": 0.5, "z": 0.0, "w": 0.5}
POSE = {"position": XYZ, "orientation": TURN}
LAYOUT = {"dim": [], "data_offset": 0}


def values_of(
    bags: ModuleType, path: Path, kind: str, message: Any, rule: dict[str, Any] | None = None
) -> np.ndarray[Any, Any]:
    bags.write(path, [("/t", kind, bags.EPOCH, message), ("/t", kind, bags.EPOCH + 10, message)])
    ruling = bags.mapping({"s": {"from": "/t", "kind": "state", **(rule or {})}}, clock="log")
    stream = bags.read(path, ruling).streams["s"]
    assert len(stream) == 2
    np.testing.assert_array_equal(stream.values[0], stream.values[1])
    return np.asarray(stream.values[0])


@pytest.mark.parametrize(
    ("kind", "message", "expected"),
    [
        ("geometry_msgs/msg/PoseStamped", {"pose": POSE}, [1, 2, 3, 0, 0.5, 0, 0.5]),
        ("geometry_msgs/msg/Pose", POSE, [1, 2, 3, 0, 0.5, 0, 0.5]),
        ("geometry_msgs/msg/Twist", {"linear": XYZ, "angular": XYZ}, [1, 2, 3, 1, 2, 3]),
        ("geometry_msgs/msg/TwistStamped", {"twist": {"linear": XYZ, "angular": XYZ}}, [1, 2, 3, 1, 2, 3]),
        ("geometry_msgs/msg/WrenchStamped", {"wrench": {"force": XYZ, "torque": XYZ}}, [1, 2, 3, 1, 2, 3]),
        ("std_msgs/msg/Float32MultiArray", {"layout": LAYOUT, "data": [0.5, 1.5]}, [0.5, 1.5]),
        ("std_msgs/msg/Float64MultiArray", {"layout": LAYOUT, "data": [0.1, 0.2, 0.3]}, [0.1, 0.2, 0.3]),
        ("std_msgs/msg/Float64", {"data": 0.25}, [0.25]),
        ("std_msgs/msg/Int32", {"data": -7}, [-7]),
        ("std_msgs/msg/Bool", {"data": True}, [1]),
        ("json:Arm", {"q": [1, 2.5], "tip": {"z": 4, "y": 3}, "name": "left", "open": True}, [1, 1, 2.5, 3, 4][1:]),
        ("json:", {"b": 2, "a": 1}, [1, 2]),
    ],
)
def test_a_message_gives_the_numbers_of_its_type(
    bags: ModuleType, tmp_path: Path, kind: str, message: dict[str, Any], expected: list[float]
) -> None:
    if kind.endswith("Stamped"):
        message = {"header": bags.header(bags.EPOCH), **message}
    if kind == "json:Arm":
        # Fields of JSON come by their names: open, q, tip.y, tip.z.
        expected = [1, 1, 2.5, 3, 4]
    np.testing.assert_array_equal(values_of(bags, tmp_path / "a.mcap", kind, message), expected)


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        (["pose.position.z", "pose.orientation"], [3, 0, 0.5, 0, 0.5]),
        (["pose.position"], [1, 2, 3]),
        (["header.stamp.sec"], [1_700_000_000]),
        ([2, 0], [3, 1]),
    ],
)
def test_a_mapping_selects_fields_and_columns(
    bags: ModuleType, tmp_path: Path, select: list[Any], expected: list[float]
) -> None:
    message = {"header": bags.header(bags.EPOCH), "pose": POSE}
    found = values_of(bags, tmp_path / "a.mcap", "geometry_msgs/msg/PoseStamped", message, {"select": select})
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({}, [1, 2, 3]),
        ({"select": ["position"]}, [1, 2, 3]),
        ({"select": ["c", "a"]}, [3, 1]),
        ({"select": ["velocity"]}, [4, 5, 6]),
        ({"names": ["c", "b", "a"]}, [3, 2, 1]),
        ({"select": ["velocity", "position"]}, [4, 5, 6, 1, 2, 3]),
        ({"select": ["b"], "names": ["elbow"]}, [2]),
    ],
)
def test_joints_are_taken_by_name(
    bags: ModuleType, tmp_path: Path, rule: dict[str, Any], expected: list[float]
) -> None:
    message = bags.joints(bags.EPOCH, [1, 2, 3], "abc") | {"velocity": [4.0, 5.0, 6.0]}
    found = values_of(bags, tmp_path / "a.mcap", "sensor_msgs/msg/JointState", message, rule)
    np.testing.assert_array_equal(found, expected)


def test_joints_that_change_their_order_are_put_in_that_of_the_first_message(bags: ModuleType, tmp_path: Path) -> None:
    kind, at = "sensor_msgs/msg/JointState", bags.EPOCH
    entries = [
        ("/j", kind, at, bags.joints(at, [1, 2], "ab")),
        ("/j", kind, at + 10, bags.joints(at + 10, [4, 3], "ba")),
        ("/j", kind, at + 20, bags.joints(at + 20, [5, 6], "")),
    ]
    ruling = bags.mapping({"s": {"from": "/j", "kind": "state"}})
    stream = bags.read(bags.write(tmp_path / "a.mcap", entries), ruling).streams["s"]
    np.testing.assert_array_equal(stream.values, [[1, 2], [3, 4], [5, 6]])


def refusal(bags: ModuleType, path: Path, messages: list[tuple[str, Any]], rule: dict[str, Any]) -> FormatError:
    bags.write(path, [("/t", kind, bags.EPOCH + n, message) for n, (kind, message) in enumerate(messages)])
    ruling = bags.mapping({"s": {"from": "/t", "kind": "state", **rule}}, clock="log")
    with pytest.raises(FormatError, match=r"^a\.mcap /t") as caught:
        bags.read(path, ruling)
    return caught.value


def test_what_a_message_does_not_hold_is_named(bags: ModuleType, tmp_path: Path) -> None:
    text = ("std_msgs/msg/String", {"data": "hello"})
    error = refusal(bags, tmp_path / "a.mcap", [text], {})
    assert (error.code, error.message) == ("wrong_type", "std_msgs/String messages hold no numbers")
    error = refusal(bags, tmp_path / "a.mcap", [("std_msgs/msg/Float64", {"data": 1.0})], {"select": ["tip.x"]})
    assert (error.code, error.hint) == ("missing_field", "There are data")
    arrays = [("std_msgs/msg/Float64MultiArray", {"layout": LAYOUT, "data": [1.0] * n}) for n in (2, 3)]
    error = refusal(bags, tmp_path / "a.mcap", arrays, {})
    assert (error.code, error.message) == ("wrong_shape", "messages of /t hold 2 or 3 numbers")
    error = refusal(bags, tmp_path / "a.mcap", [("json:A", {"v": 1}), ("json:A", {"v": "1"})], {})
    assert error.code == "wrong_type"
    error = refusal(bags, tmp_path / "a.mcap", [("json:A", b"{")], {})
    assert error.code == "bad_message"
    error = refusal(bags, tmp_path / "a.mcap", [text], {"kind": "image"})
    assert (error.code, error.message) == ("wrong_type", "std_msgs/String messages are no pictures")


def test_protobuf_messages_are_read_with_their_own_time(bags: ModuleType, tmp_path: Path) -> None:
    nested = {"Vector3": dict.fromkeys("xyz", "double"), "Quaternion": dict.fromkeys("xyzw", "double")}
    nested["Pose"] = {"position": "Vector3", "orientation": "Quaternion"}
    fields = {"timestamp": "time", "frame_id": "string", "pose": "Pose"}
    message = bags.protobuf_type("foxglove.PoseInFrame", fields, nested)()
    message.timestamp.seconds, message.timestamp.nanos = 1_700_000_005, 7
    message.pose.position.y, message.pose.orientation.w = 2.0, 1.0
    path = bags.write(tmp_path / "a.mcap", [("/tip", "foxglove.PoseInFrame", bags.EPOCH, message)])
    stream = bags.read(path).streams["tip"]
    np.testing.assert_array_equal(stream.values, [[0, 2, 0, 0, 0, 0, 1]])
    assert stream.time_ns.tolist() == [1_700_000_005_000_000_007]


def test_the_numbers_of_a_teams_own_protobuf_messages_are_taken_in_their_order(
    bags: ModuleType, tmp_path: Path
) -> None:
    message = bags.protobuf_type("lab.Arm", {"stamp": "time", "q": "double*", "name": "string", "grip": "double"})()
    message.q.extend([1.0, 2.0])
    message.grip = 3.0
    path = bags.write(tmp_path / "a.mcap", [("/arm", "lab.Arm", bags.EPOCH, message)])
    np.testing.assert_array_equal(bags.read(path).streams["arm"].values, [[1, 2, 3]])


PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
ALPHA = np.concatenate([PIXELS, np.full((2, 3, 1), 9, np.uint8)], axis=2)


@pytest.mark.parametrize(
    ("encoding", "data", "expected"),
    [
        ("rgb8", PIXELS, PIXELS),
        ("bgr8", PIXELS, PIXELS[:, :, ::-1]),
        ("rgba8", ALPHA, PIXELS),
        ("bgra8", ALPHA, PIXELS[:, :, ::-1]),
        ("8UC3", PIXELS, PIXELS),
        ("mono8", PIXELS[:, :, 0], np.repeat(PIXELS[:, :, :1], 3, axis=2)),
    ],
)
def test_raw_images_become_rgb(
    bags: ModuleType, tmp_path: Path, encoding: str, data: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]
) -> None:
    # Rows are padded to 16 bytes.
    row = data.reshape(2, -1)
    padded = np.pad(row, ((0, 0), (0, 16 - row.shape[1]))).tobytes()
    message = bags.raw_image(bags.EPOCH, encoding, 2, 3, padded)
    path = bags.write(tmp_path / "a.mcap", [("/cam", "sensor_msgs/msg/Image", bags.EPOCH, message)])
    (stream,) = bags.read(path).streams.values()
    assert (stream.kind, stream.values[0].dtype) == ("image", np.uint8)
    np.testing.assert_array_equal(stream.values[0], expected)
    flipped = bags.mapping({"cam": {"from": "/cam", "kind": "image", "flip": True}})
    np.testing.assert_array_equal(bags.read(path, flipped).streams["cam"].values[-1], expected[::-1])


@pytest.mark.parametrize(
    ("encoding", "data", "expected"),
    [
        ("16UC1", np.array([[1, 2], [3, 65535]], "<u2"), [[1, 2], [3, 65535]]),
        ("mono16", np.array([[1, 2], [3, 4]], "<u2"), [[1, 2], [3, 4]]),
        ("32FC1", np.array([[0.5, np.nan], [np.inf, 70.0]], "<f4"), [[500, 0], [0, 65535]]),
    ],
)
def test_raw_depth_becomes_millimetres(
    bags: ModuleType, tmp_path: Path, encoding: str, data: np.ndarray[Any, Any], expected: list[list[int]]
) -> None:
    message = bags.raw_image(bags.EPOCH, encoding, 2, 2, data.tobytes())
    path = bags.write(tmp_path / "a.mcap", [("/depth", "sensor_msgs/msg/Image", bags.EPOCH, message)])
    (stream,) = bags.read(path).streams.values()
    assert stream.kind == "depth"
    np.testing.assert_array_equal(stream.values[0], np.array(expected, np.uint16))


def png16(values: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values.astype(np.uint16)).save(buffer, "PNG")
    return buffer.getvalue()


def test_compressed_depth_is_unpacked_from_its_header(bags: ModuleType, tmp_path: Path) -> None:
    png = png16(np.array([[0, 1000], [2000, 4]]))
    plain = bags.compressed(bags.EPOCH, struct.pack("<iff", 0, 0.0, 0.0) + png, "16UC1; compressedDepth png")
    # compressed_depth_image_transport: depth = a / (value - b) metres.
    inverse = bags.compressed(bags.EPOCH, struct.pack("<iff", 0, 1000.0, 0.0) + png, "32FC1; compressedDepth png")
    bare = bags.compressed(bags.EPOCH, png, "png")
    kind = "sensor_msgs/msg/CompressedImage"
    entries = [(f"/{n}", kind, bags.EPOCH, m) for n, m in (("plain", plain), ("inverse", inverse), ("bare", bare))]
    streams = bags.read(bags.write(tmp_path / "a.mcap", entries)).streams
    assert {stream.kind for stream in streams.values()} == {"depth"}
    for name in ("plain", "bare"):
        np.testing.assert_array_equal(decode_depth(streams[name].values[0], where=""), [[0, 1000], [2000, 4]])
    np.testing.assert_array_equal(streams["inverse"].values[0], [[0, 1000], [500, 65535]])


def test_foxglove_images_are_read_from_protobuf_and_json(bags: ModuleType, tmp_path: Path) -> None:
    jpeg = bags.jpeg()
    kind = bags.protobuf_type("foxglove.CompressedImage", {"timestamp": "time", "data": "bytes", "format": "string"})
    raw_fields = {"width": "uint32", "height": "uint32", "encoding": "string", "step": "uint32", "data": "bytes"}
    raw = bags.protobuf_type("foxglove.RawImage", raw_fields)(width=3, height=2, encoding="rgb8", step=9)
    raw.data = PIXELS.tobytes()
    in_json = {"timestamp": {"sec": 3, "nsec": 4}, "data": base64.b64encode(jpeg).decode(), "format": "jpeg"}
    entries = [
        ("/a", "foxglove.CompressedImage", bags.EPOCH, kind(data=jpeg, format="jpeg")),
        ("/b", "foxglove.RawImage", bags.EPOCH, raw),
        ("/c", "json:foxglove.CompressedImage", bags.EPOCH, in_json),
    ]
    streams = bags.read(bags.write(tmp_path / "a.mcap", entries)).streams
    assert streams["a"].values[0] == streams["c"].values[0] == jpeg
    assert streams["c"].time_ns.tolist() == [3_000_000_004]
    np.testing.assert_array_equal(streams["b"].values[0], PIXELS)
    assert decode_image(streams["a"].values[0], where="").shape == (12, 16, 3)


@pytest.mark.parametrize(
    ("change", "kind", "code"),
    [
        ({"encoding": "bayer_rggb8"}, "image", "wrong_type"),
        ({"encoding": "16UC1"}, "image", "wrong_type"),
        ({"encoding": "rgb8"}, "depth", "wrong_type"),
        ({"height": 2**31}, "image", "bad_image"),
        ({"width": 0}, "image", "bad_image"),
        ({"step": 2}, "image", "bad_image"),
        ({"data": b"short"}, "image", "bad_image"),
    ],
)
def test_impossible_images_are_refused(
    bags: ModuleType, tmp_path: Path, change: dict[str, Any], kind: str, code: str
) -> None:
    message = bags.raw_image(bags.EPOCH, "rgb8", 2, 3, PIXELS.tobytes()) | change
    path = bags.write(tmp_path / "a.mcap", [("/cam", "sensor_msgs/msg/Image", bags.EPOCH, message)])
    with pytest.raises(EpisodeError, match=r"^a\.mcap /cam: ") as caught:
        bags.read(path, bags.mapping({"cam": {"from": "/cam", "kind": kind}}))
    assert caught.value.code == code


def test_a_later_frame_that_is_no_picture_is_refused_when_it_is_looked_at(bags: ModuleType, tmp_path: Path) -> None:
    kind = "sensor_msgs/msg/CompressedImage"
    entries = [
        ("/cam", kind, bags.EPOCH + n, bags.compressed(bags.EPOCH + n, d)) for n, d in enumerate([bags.jpeg(), b"x"])
    ]
    frames = bags.read(bags.write(tmp_path / "a.mcap", entries)).streams["cam"].values
    assert frames[0] == bags.jpeg()
    with pytest.raises(EpisodeError, match=r"^a\.mcap /cam: a frame called 'jpeg' is neither JPEG nor PNG"):
        frames[1]


def test_who_moved_the_robot_is_told_by_words_and_truth_values(bags: ModuleType, tmp_path: Path) -> None:
    entries = [
        ("/who", "std_msgs/msg/String", bags.EPOCH + n, {"data": word})
        for n, word in enumerate(["auto", "tele", "auto"])
    ] + [("/human", "std_msgs/msg/Bool", bags.EPOCH + n, {"data": bool(n)}) for n in range(2)]
    ruling = bags.mapping(
        {
            "who": {"from": "/who", "kind": "control", "values": {"auto": "policy", "tele": "human"}},
            "human": {"from": "/human", "kind": "control", "values": {"true": "human", "false": "policy"}},
        }
    )
    streams = bags.read(bags.write(tmp_path / "a.mcap", entries), ruling).streams
    np.testing.assert_array_equal(streams["who"].values, [[0], [1], [0]])
    np.testing.assert_array_equal(streams["human"].values, [[0], [1]])


@pytest.mark.parametrize(
    ("clock", "expected"), [("header", [5, 6]), ("log", [1_000_000, 2_000_000]), ("publish", [999_000, 1_999_000])]
)
def test_the_mapping_says_which_clock_rules(bags: ModuleType, tmp_path: Path, clock: str, expected: list[int]) -> None:
    kind = "sensor_msgs/msg/JointState"
    entries = [("/j", kind, n * 1_000_000, bags.joints(4 + n, [n])) for n in (1, 2)]
    entries = [(t, k, at, m | {"name": []}) for t, k, at, m in entries]
    ruling = bags.mapping({"s": {"from": "/j", "kind": "state"}}, clock=clock)
    assert bags.read(bags.write(tmp_path / "a.mcap", entries), ruling).streams["s"].time_ns.tolist() == expected


def test_times_of_no_robot_are_refused(bags: ModuleType, tmp_path: Path) -> None:
    path = bags.write(tmp_path / "a.mcap", [("/v", "std_msgs/msg/Float64", 2**63 + 5, {"data": 1.0})])
    with pytest.raises(EpisodeError, match=r"^a\.mcap /v: a message is of 9\.22e\+09 s") as caught:
        bags.read(path)
    assert caught.value.code == "bad_time"
