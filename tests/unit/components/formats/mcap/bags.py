"""MCAP files written message by message: ROS 2, protobuf and JSON, in any order and with any option of the writer."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from google.protobuf import timestamp_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from mcap.writer import CompressionType, Writer
from mcap_ros2._dynamic import serialize_dynamic
from PIL import Image

from components.core.episode import Episode
from components.formats.mapping import Mapping as StreamMapping
from components.formats.mcap import reader
from components.formats.source import Recording

SECOND = 1_000_000_000
EPOCH = 1_700_000_000 * SECOND
SHA = "0" * 64

_RULE = "=" * 80
_PARTS = {
    "std_msgs/Header": "builtin_interfaces/Time stamp\nstring frame_id",
    "builtin_interfaces/Time": "int32 sec\nuint32 nanosec",
    "geometry_msgs/Vector3": "float64 x\nfloat64 y\nfloat64 z",
    "geometry_msgs/Point": "float64 x\nfloat64 y\nfloat64 z",
    "geometry_msgs/Quaternion": "float64 x\nfloat64 y\nfloat64 z\nfloat64 w",
    "geometry_msgs/Pose": "geometry_msgs/Point position\ngeometry_msgs/Quaternion orientation",
    "geometry_msgs/Twist": "geometry_msgs/Vector3 linear\ngeometry_msgs/Vector3 angular",
    "geometry_msgs/Wrench": "geometry_msgs/Vector3 force\ngeometry_msgs/Vector3 torque",
    "geometry_msgs/Transform": "geometry_msgs/Vector3 translation\ngeometry_msgs/Quaternion rotation",
    "geometry_msgs/TransformStamped": "std_msgs/Header header\nstring child_frame_id\n"
    "geometry_msgs/Transform transform",
    "std_msgs/MultiArrayLayout": "std_msgs/MultiArrayDimension[] dim\nuint32 data_offset",
    "std_msgs/MultiArrayDimension": "string label\nuint32 size\nuint32 stride",
    "sensor_msgs/RegionOfInterest": "uint32 x_offset\nuint32 y_offset\nuint32 height\nuint32 width\nbool do_rectify",
}
_TYPES = {
    "sensor_msgs/msg/JointState": "std_msgs/Header header\nstring[] name\nfloat64[] position\nfloat64[] velocity\n"
    "float64[] effort",
    "sensor_msgs/msg/Image": "std_msgs/Header header\nuint32 height\nuint32 width\nstring encoding\n"
    "uint8 is_bigendian\nuint32 step\nuint8[] data",
    "sensor_msgs/msg/CompressedImage": "std_msgs/Header header\nstring format\nuint8[] data",
    "sensor_msgs/msg/CameraInfo": "std_msgs/Header header\nuint32 height\nuint32 width\nstring distortion_model\n"
    "float64[] d\nfloat64[9] k\nfloat64[9] r\nfloat64[12] p\nuint32 binning_x\nuint32 binning_y\n"
    "sensor_msgs/RegionOfInterest roi",
    "sensor_msgs/msg/Joy": "std_msgs/Header header\nfloat32[] axes\nint32[] buttons",
    "geometry_msgs/msg/PoseStamped": "std_msgs/Header header\ngeometry_msgs/Pose pose",
    "geometry_msgs/msg/Pose": _PARTS["geometry_msgs/Pose"],
    "geometry_msgs/msg/Twist": _PARTS["geometry_msgs/Twist"],
    "geometry_msgs/msg/TwistStamped": "std_msgs/Header header\ngeometry_msgs/Twist twist",
    "geometry_msgs/msg/WrenchStamped": "std_msgs/Header header\ngeometry_msgs/Wrench wrench",
    "tf2_msgs/msg/TFMessage": "geometry_msgs/TransformStamped[] transforms",
    "std_msgs/msg/Float32MultiArray": "std_msgs/MultiArrayLayout layout\nfloat32[] data",
    "std_msgs/msg/Float64MultiArray": "std_msgs/MultiArrayLayout layout\nfloat64[] data",
    "std_msgs/msg/Float64": "float64 data",
    "std_msgs/msg/Int32": "int32 data",
    "std_msgs/msg/Bool": "bool data",
    "std_msgs/msg/String": "string data",
}


def _definition(text: str) -> str:
    """A type with all that it is made of, as a recorder writes it."""
    names: list[str] = []
    lines = text.splitlines()
    for line in lines:
        name = line.split()[0].split("[")[0]
        if name in _PARTS and name not in names:
            names.append(name)
            lines += _PARTS[name].splitlines()
    return text + "".join(f"\n{_RULE}\nMSG: {name}\n{_PARTS[name]}" for name in names)


DEFINITIONS = {name: _definition(text) for name, text in _TYPES.items()}
_ENCODERS: dict[str, Any] = {}

# (topic, type, log time in ns, message): the type of a JSON message begins with "json:", a protobuf one is a message.
Entry = tuple[str, str, int, Any]


def header(time_ns: int, frame: str = "base") -> dict[str, Any]:
    return {"stamp": {"sec": time_ns // SECOND, "nanosec": time_ns % SECOND}, "frame_id": frame}


def cdr(kind: str, message: Mapping[str, Any], definition: str = "") -> bytes:
    text = definition or DEFINITIONS[kind]
    if (kind, text) not in _ENCODERS:
        _ENCODERS[kind, text] = serialize_dynamic(kind, text)[kind]
    return bytes(_ENCODERS[kind, text](message))


def joints(time_ns: int, values: Iterable[float], names: Iterable[str] = ("a", "b")) -> dict[str, Any]:
    return {
        "header": header(time_ns),
        "name": list(names),
        "position": [float(v) for v in values],
        "velocity": [],
        "effort": [],
    }


def raw_image(time_ns: int, encoding: str, height: int, width: int, data: bytes, step: int = 0) -> dict[str, Any]:
    fields = {"height": height, "width": width, "encoding": encoding, "is_bigendian": 0, "data": data}
    return {"header": header(time_ns), "step": step or len(data) // height, **fields}


def jpeg(value: int = 90, size: tuple[int, int] = (16, 12)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (value, value, value)).save(buffer, "JPEG")
    return buffer.getvalue()


def compressed(time_ns: int, data: bytes, form: str = "jpeg") -> dict[str, Any]:
    return {"header": header(time_ns), "format": form, "data": data}


def write(path: Path, entries: Iterable[Entry], *, metadata: Mapping[str, str] | None = None, **options: Any) -> Path:
    """Messages in the order given. Options are those of the library's writer; small chunks where nothing is said."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        writer = Writer(stream, **{"chunk_size": 2048, "compression": CompressionType.ZSTD, **options})
        writer.start(profile="ros2")
        if metadata:
            writer.add_metadata("episode", dict(metadata))
        channels: dict[tuple[str, str], int] = {}
        for number, (topic, kind, log_ns, message) in enumerate(entries):
            if (topic, kind) not in channels:
                channels[topic, kind] = _register(writer, topic, kind, message)
            writer.add_message(channels[topic, kind], log_ns, _encoded(kind, message), max(0, log_ns - 1000), number)
        writer.finish()
    return path


def _register(writer: Writer, topic: str, kind: str, message: Any) -> int:
    if kind.startswith("json:"):
        schema = writer.register_schema(kind[5:], "jsonschema", b'{"type": "object"}') if kind[5:] else 0
        return int(writer.register_channel(topic, "json", schema))
    if not isinstance(message, dict | bytes):
        schema = writer.register_schema(kind, "protobuf", descriptor_set(message).SerializeToString())
        return int(writer.register_channel(topic, "protobuf", schema))
    schema = writer.register_schema(kind, "ros2msg", DEFINITIONS[kind].encode())
    return int(writer.register_channel(topic, "cdr", schema))


def _encoded(kind: str, message: Any) -> bytes:
    if isinstance(message, bytes):
        return message
    if kind.startswith("json:"):
        return json.dumps(message).encode()
    if isinstance(message, dict):
        return cdr(kind, message)
    return bytes(message.SerializeToString())


def write_raw(path: Path, channels: Iterable[tuple[str, str, str, str, bytes, list[bytes]]], **options: Any) -> Path:
    """Channels of (topic, message encoding, type, schema encoding, schema, messages), a message every 0.1 s."""
    with path.open("wb") as stream:
        writer = Writer(stream, **options)
        writer.start(profile="")
        for topic, encoding, kind, schema_encoding, text, messages in channels:
            schema = writer.register_schema(kind, schema_encoding, text)
            channel = writer.register_channel(topic, encoding, schema)
            for number, data in enumerate(messages):
                writer.add_message(channel, EPOCH + number * SECOND // 10, data, EPOCH)
        writer.finish()
    return path


def descriptor_set(message: Any) -> FileDescriptorSet:
    """The file of a message's type and all that it imports."""
    found, seen = FileDescriptorSet(), set()

    def add(file: Any) -> None:
        if file.name not in seen:
            seen.add(file.name)
            for dependency in file.dependencies:
                add(dependency)
            file.CopyToProto(found.file.add())

    add(message.DESCRIPTOR.file)
    return found


def protobuf_type(name: str, fields: Mapping[str, str], nested: Mapping[str, Mapping[str, str]] | None = None) -> Any:
    """A message class "package.Name". Types: double, bytes, uint32 ..., double* (repeated), time, one of `nested`."""
    package, short = name.rsplit(".", 1)
    file = FileDescriptorProto(name=f"{short}.proto", package=package, syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    for kind, parts in {**(nested or {}), short: fields}.items():
        entry = file.message_type.add(name=kind)
        for number, (field_name, sort) in enumerate(parts.items(), 1):
            field = entry.field.add(name=field_name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
            if sort.endswith("*"):
                field.label = FieldDescriptorProto.LABEL_REPEATED
            if sort == "time":
                field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, ".google.protobuf.Timestamp"
            elif sort.rstrip("*") in (nested or {}):
                field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{package}.{sort.rstrip('*')}"
            else:
                field.type = FieldDescriptorProto.Type.Value(f"TYPE_{sort.rstrip('*').upper()}")
    pool = DescriptorPool()
    stamp = FileDescriptorProto()
    timestamp_pb2.DESCRIPTOR.CopyToProto(stamp)
    pool.Add(stamp)
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(name))


def mapping(streams: Mapping[str, Mapping[str, Any]], **more: Any) -> StreamMapping:
    return StreamMapping.model_validate({"streams": {k: dict(v) for k, v in streams.items()}, **more})


def opened(path: Path, ruling: StreamMapping | None = None) -> Recording:
    found = reader.open_source(path, ruling, where=path.name)
    return Recording(
        path, path.name, "mcap", found.dialect, SHA, found.parts, found.mapping, found.problems, found.cuts
    )


def read(path: Path, ruling: StreamMapping | None = None) -> Episode:
    return reader.read_part(opened(path, ruling), "")
