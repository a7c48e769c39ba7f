"""Small recordings in the layouts that the readers know, made from one set of streams."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from mcap.reader import make_reader
from mcap.writer import Writer as RawWriter
from mcap_ros2.writer import Writer
from PIL import Image

STEP_NS = 50_000_000

_HEADER = """
================================================================================
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
================================================================================
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
"""
DEFINITIONS = {
    "sensor_msgs/msg/JointState": "std_msgs/Header header\nstring[] name\nfloat64[] position\nfloat64[] velocity\n"
    "float64[] effort\n" + _HEADER,
    "sensor_msgs/msg/CompressedImage": "std_msgs/Header header\nstring format\nuint8[] data\n" + _HEADER,
    "geometry_msgs/msg/PoseStamped": "std_msgs/Header header\ngeometry_msgs/Pose pose\n"
    + _HEADER
    + """================================================================================
MSG: geometry_msgs/Pose
geometry_msgs/Point position
geometry_msgs/Quaternion orientation
================================================================================
MSG: geometry_msgs/Point
float64 x
float64 y
float64 z
================================================================================
MSG: geometry_msgs/Quaternion
float64 x
float64 y
float64 z
float64 w
""",
    "std_msgs/msg/String": "string data\n",
}
TOPIC_OF = {
    "fixed": "/camera/fixed/compressed",
    "wrist": "/camera/wrist/compressed",
    "hand": "/hand_pose",
    "gripper": "/gripper",
    "joints": "/joint_states",
    "action": "/action",
    "action_executed": "/action_executed",
}
DATASET_OF = {
    "fixed": "obs/agentview_image",
    "wrist": "obs/robot0_eye_in_hand_image",
    "hand": "obs/robot0_eef_pos",
    "gripper": "obs/robot0_gripper_qpos",
    "joints": "obs/robot0_joint_pos",
    "action": "actions",
    "action_executed": "actions_executed",
}
ACTION_NAMES = ["dx", "dy", "dz", "effort"]
METADATA = {
    "task": "drawer-open",
    "robot_id": "cell-1",
    "collector_id": "collector-a",
    "site": "site-north",
    "embodiment": "sawyer-cell",
    "licence": "CC-BY-4.0",
    "consent_ref": "consent/a",
    "recorded_at": "2026-01-01T00:00:00Z",
    "outcome": "success",
    "calibration_digest": "c" * 64,
}


@dataclass(frozen=True)
class Demo:
    """Streams by canonical name; `time_ns` of each counts from any origin."""

    values: dict[str, np.ndarray]
    time_ns: dict[str, np.ndarray]
    instruction: str = "pull the drawer open"
    metadata: dict[str, str] = field(default_factory=lambda: dict(METADATA))

    def without(self, *names: str) -> Demo:
        return replace(self, values={name: v for name, v in self.values.items() if name not in names})

    def with_values(self, **values: np.ndarray) -> Demo:
        return replace(self, values={**self.values, **values})

    def with_times(self, **times: np.ndarray) -> Demo:
        return replace(self, time_ns={**self.time_ns, **times})

    def with_metadata(self, **metadata: str) -> Demo:
        return replace(self, metadata={**self.metadata, **metadata})


def make_demo(
    seed: int = 0, *, steps: int = 12, image_px: int = 96, rates_hz: Mapping[str, float] | None = None, **meta: str
) -> Demo:
    """A smooth reach. All streams tick at 20 Hz from 0 unless `rates_hz` says otherwise for one of them."""
    rng = np.random.default_rng(seed)
    times = {}
    for name in TOPIC_OF:
        rate = (rates_hz or {}).get(name, 20.0)
        count = int((steps - 1) / 20.0 * rate) + 1
        times[name] = np.rint(np.arange(count) * 1e9 / rate).astype(np.int64)
    start = rng.normal(size=7)
    values: dict[str, np.ndarray] = {}
    for name, dim in (("hand", 3), ("gripper", 1), ("joints", 7), ("action", 4), ("action_executed", 4)):
        seconds = times[name][:, None] / 1e9
        values[name] = np.clip(np.sin(seconds + start[:dim]), -1.0, 1.0)
    for name in ("fixed", "wrist"):
        base = rng.integers(0, 255, size=(4, 4, 3), dtype=np.uint8)
        frames = [np.roll(base, index // 2, axis=index % 2) for index in range(len(times[name]))]
        values[name] = np.stack([np.kron(f, np.ones((image_px // 4, image_px // 4, 1), np.uint8)) for f in frames])
    return Demo(values, times, metadata={**METADATA, **meta})


def write_hdf5(path: Path, demos: Sequence[Demo], *, env_args: str | None = "{}") -> Path:
    """One clock a demo: that of its actions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        if env_args is not None:
            data.attrs["env_args"] = env_args
        data.attrs["total"] = sum(len(demo.time_ns["action"]) for demo in demos)
        for number, demo in enumerate(demos):
            group = data.create_group(f"demo_{number}")
            group.attrs["num_samples"] = len(demo.time_ns["action"])
            group.attrs["instruction"] = demo.instruction
            for key, value in demo.metadata.items():
                group.attrs[key] = value
            group["time"] = demo.time_ns["action"] / 1e9
            for name, values in demo.values.items():
                group[DATASET_OF[name]] = values
    return path


def write_mcap(path: Path, demo: Demo, *, origin_ns: int = 1_700_000_000_000_000_000, **options: Any) -> Path:
    """Header stamps are `origin_ns` + the stream's times; log times come 5 ms later, in the order of the messages."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream, Writer(stream, **options) as writer:
        schemas = {name: writer.register_msgdef(name, text) for name, text in DEFINITIONS.items()}
        writer.add_metadata("episode", demo.metadata)
        if demo.instruction:
            message = {"data": demo.instruction}
            writer.write_message(TOPIC_INSTRUCTION, schemas["std_msgs/msg/String"], message, origin_ns, origin_ns)
        for log_ns, name, index in sorted(_log_order(demo, origin_ns)):
            kind, body = _message(name, demo.values[name][index])
            stamp_ns = origin_ns + int(demo.time_ns[name][index])
            body["header"] = {"stamp": {"sec": stamp_ns // 10**9, "nanosec": stamp_ns % 10**9}, "frame_id": name}
            writer.write_message(TOPIC_OF[name], schemas[kind], body, log_ns, log_ns)
    return path


TOPIC_INSTRUCTION = "/instruction"


def copy_mcap(source: Path, target: Path, *, add: Sequence[tuple[str, str, str, bytes]] = (), **options: Any) -> Path:
    """The same messages written with other `options`, and one message each of (topic, type, definition, bytes)."""
    with source.open("rb") as stream, target.open("wb") as output:
        reader = make_reader(stream)
        writer = RawWriter(output, **options)
        writer.start(profile="ros2")
        for metadata in reader.iter_metadata():
            writer.add_metadata(metadata.name, metadata.metadata)
        channels: dict[str, int] = {}
        for schema, channel, message in reader.iter_messages():
            if channel.topic not in channels:
                assert schema is not None
                schema_id = writer.register_schema(schema.name, schema.encoding, schema.data)
                channels[channel.topic] = writer.register_channel(channel.topic, channel.message_encoding, schema_id)
            writer.add_message(channels[channel.topic], message.log_time, message.data, message.publish_time)
        for topic, type_name, definition, data in add:
            schema_id = writer.register_schema(type_name, "ros2msg", definition.encode())
            writer.add_message(writer.register_channel(topic, "cdr", schema_id), 1, data, 1)
        writer.finish()
    return target


def _log_order(demo: Demo, origin_ns: int) -> list[tuple[int, str, int]]:
    """A recorder's clock never goes back, whatever the sensor's does."""
    order = []
    for name in demo.values:
        forward = np.maximum.accumulate(demo.time_ns[name])
        order += [(origin_ns + int(t) + 5_000_000, name, index) for index, t in enumerate(forward)]
    return order


def _message(name: str, value: np.ndarray) -> tuple[str, dict[str, Any]]:
    if name in ("fixed", "wrist"):
        return "sensor_msgs/msg/CompressedImage", {"format": "jpeg", "data": encode_jpeg(value)}
    if name == "hand":
        position = dict(zip("xyz", map(float, value), strict=True))
        return "geometry_msgs/msg/PoseStamped", {
            "pose": {"position": position, "orientation": {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}}
        }
    names = ACTION_NAMES if name.startswith("action") else [f"{name}_{i}" for i in range(len(value))]
    return "sensor_msgs/msg/JointState", {
        "name": names,
        "position": [float(x) for x in value],
        "velocity": [],
        "effort": [],
    }


def encode_jpeg(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()
