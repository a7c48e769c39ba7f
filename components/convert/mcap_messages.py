"""An MCAP file of ROS 2 messages under way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO

from mcap.well_known import SchemaEncoding
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
from mcap_ros2._dynamic import serialize_dynamic

from components.formats.carried import KEY
from components.formats.mcap.contents import EPISODE_METADATA
from components.formats.mcap.ros2_messages import DEFINITIONS

IMAGE, JOINTS, STRING = "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/JointState", "std_msgs/msg/String"
_LIBRARY = "gripline convert"


class Messages:
    """A file under way: schemas and channels are registered as they are needed."""

    def __init__(self, stream: BinaryIO) -> None:
        self._writer = McapWriter(stream, compression=CompressionType.ZSTD, enable_data_crcs=True)
        self._writer.start(profile="ros2", library=_LIBRARY)
        self._encoders: dict[str, tuple[int, Callable[[Any], bytes]]] = {}
        self._channels: dict[str, int] = {}

    def add(self, topic: str, kind: str, stamp: int, number: int, body: dict[str, Any]) -> bytes:
        """Writes a message, logged when it was sensed; returns its bytes."""
        if kind not in self._encoders:
            text = DEFINITIONS[kind]
            schema = self._writer.register_schema(kind, SchemaEncoding.ROS2, text.encode())
            self._encoders[kind] = schema, serialize_dynamic(kind, text)[kind]
        schema, encode = self._encoders[kind]
        if topic not in self._channels:
            self._channels[topic] = self._writer.register_channel(topic, "cdr", schema)
        data = encode(body)
        self._writer.add_message(self._channels[topic], stamp, data, stamp, number)
        return data

    def say(self, topic: str, stamp: int, text: str, number: int = 0) -> None:
        self.add(topic, STRING, stamp, number, {"data": text})

    def finish(self, words: dict[str, str], own: dict[str, str]) -> None:
        self._writer.add_metadata(EPISODE_METADATA, words)
        self._writer.add_metadata(KEY, own)
        self._writer.finish()


def header_of(stamp: int) -> dict[str, Any]:
    return {"stamp": {"sec": stamp // 1_000_000_000, "nanosec": stamp % 1_000_000_000}, "frame_id": ""}
