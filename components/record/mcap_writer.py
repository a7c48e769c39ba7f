"""An episode as a ROS 2 MCAP file: CDR messages, zstd chunks, one metadata record with what is known about it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.episode import Episode, Stream
from components.formats.mcap.ros2_messages import DEFINITIONS
from components.record.describe import describe

METADATA_NAME = "episode"
JPEG_QUALITY = 95

# Stream of the episode -> topic and message type.
_TOPICS: dict[str, tuple[str, str]] = {
    "fixed": ("/camera/fixed/compressed", "sensor_msgs/msg/CompressedImage"),
    "wrist": ("/camera/wrist/compressed", "sensor_msgs/msg/CompressedImage"),
    "joints": ("/joint_states", "sensor_msgs/msg/JointState"),
    "hand": ("/hand_pose", "geometry_msgs/msg/PoseStamped"),
    "gripper": ("/gripper", "sensor_msgs/msg/JointState"),
    "action": ("/action", "sensor_msgs/msg/JointState"),
    "action_executed": ("/action_executed", "sensor_msgs/msg/JointState"),
}
_INSTRUCTION = ("/instruction", "std_msgs/msg/String")
_FRAMES = {"fixed": "camera_fixed_optical", "wrist": "camera_wrist_optical", "joints": "base", "hand": "base"}

# From the sample to its arrival at the recorder. Exposure and compression take longer than reading an encoder.
_IMAGE_LATENCY_NS = 12_000_000
_STATE_LATENCY_NS = 1_000_000


def mcap_bytes(episode: Episode) -> bytes:
    """The whole file. The same episode gives the same bytes."""
    from mcap.writer import CompressionType
    from mcap_ros2.writer import Writer

    buffer = io.BytesIO()
    writer = Writer(buffer, compression=CompressionType.ZSTD)
    writer.add_metadata(METADATA_NAME, describe(episode))
    schemas = {name: writer.register_msgdef(name, text) for name, text in DEFINITIONS.items()}
    messages = [entry for name in _TOPICS if name in episode.streams for entry in _messages(episode, name)]
    if episode.instruction:
        first = min(arrival for arrival, *_ in messages)
        messages.append((first, 0, *_INSTRUCTION, {"data": episode.instruction}))
    # Sorted by arrival, as a recorder writes; the sort is stable, so each topic keeps its own order.
    for arrival, number, topic, kind, message in sorted(messages, key=lambda entry: entry[0]):
        writer.write_message(topic, schemas[kind], message, log_time=arrival, publish_time=arrival, sequence=number)
    writer.finish()
    return buffer.getvalue()


def _messages(episode: Episode, name: str) -> Iterator[tuple[int, int, str, str, dict[str, Any]]]:
    stream = episode.streams[name]
    topic, kind = _TOPICS[name]
    latency = _IMAGE_LATENCY_NS if stream.kind == "image" else _STATE_LATENCY_NS
    arrivals = _arrivals(stream.time_ns) + latency
    for number, arrival in enumerate(arrivals.tolist()):
        yield arrival, number, topic, kind, _message(episode, stream, number)


def _message(episode: Episode, stream: Stream, number: int) -> dict[str, Any]:
    stamp = int(stream.time_ns[number])
    header = {
        "stamp": {"sec": stamp // 1_000_000_000, "nanosec": stamp % 1_000_000_000},
        "frame_id": _FRAMES.get(stream.name, ""),
    }
    if stream.kind == "image":
        return {"header": header, "format": "jpeg", "data": _jpeg(stream.values[number])}
    values = [float(value) for value in np.asarray(stream.values[number])]
    if stream.name == "hand":
        turn = [float(value) for value in np.asarray(episode.stream("hand_orientation").values[number])]
        pose = {"position": dict(zip("xyz", values, strict=True)), "orientation": dict(zip("xyzw", turn, strict=True))}
        return {"header": header, "pose": pose}
    return {"header": header, "name": list(stream.names), "position": values, "velocity": [], "effort": []}


def _arrivals(time_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The recorder's own clock: it runs on evenly where a sensor's clock stands or is set back."""
    steps = np.diff(time_ns)
    forward = steps[steps > 0]
    usual = int(np.median(forward)) if len(forward) else 0
    return time_ns[:1].repeat(len(time_ns)) + np.concatenate([[0], np.cumsum(np.where(steps > 0, steps, usual))])


def _jpeg(image: npt.NDArray[Any] | bytes) -> bytes:
    from PIL import Image

    if isinstance(image, bytes):
        return image
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
