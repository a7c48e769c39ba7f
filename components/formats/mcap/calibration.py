"""Cameras and fixed transforms of a recording as plain JSON, from CameraInfo topics and /tf_static."""

from __future__ import annotations

import math
from typing import Any

from components.formats.mcap.pictures import message_field
from components.formats.mcap.topics import Source
from components.formats.mcap.walk import numbers_at

CAMERA_TYPES = ("sensor_msgs/CameraInfo", "foxglove.CameraCalibration")
_TRANSFORM_TYPES = ("tf2_msgs/TFMessage", "tf/tfMessage", "foxglove.FrameTransform", "foxglove.FrameTransforms")
_STATIC = ("tf_static", "static_transforms")
_MATRICES = {"D": ("d", "D"), "K": ("k", "K"), "R": ("r", "R"), "P": ("p", "P")}


def is_camera(source: Source) -> bool:
    return source.type_name in CAMERA_TYPES


def is_static_transform(source: Source) -> bool:
    return source.type_name in _TRANSFORM_TYPES and source.topic.rsplit("/", 1)[-1] in _STATIC


def camera_of(message: Any) -> dict[str, Any]:
    """Size, model and matrices (row-major) of one camera. Raises `TypeError` or `ValueError` for other messages."""
    header = message_field(message, "header")
    frame = message_field(header, "frame_id") if header is not None else message_field(message, "frame_id")
    found: dict[str, Any] = {
        "frame_id": str(frame or ""),
        "width": int(message_field(message, "width") or 0),
        "height": int(message_field(message, "height") or 0),
        "distortion_model": str(message_field(message, "distortion_model") or ""),
    }
    for name, spellings in _MATRICES.items():
        value = next((v for s in spellings if (v := message_field(message, s)) is not None), ())
        found[name] = _plain(list(value))
    return found


def transforms_of(message: Any) -> list[dict[str, Any]]:
    """Each transform: {parent, child, translation [xyz] m, rotation [xyzw]}. Raises as `camera_of` does."""
    entries = message_field(message, "transforms")
    return [_transform(entry) for entry in (entries if entries is not None else [message])]


def _transform(entry: Any) -> dict[str, Any]:
    header, inner = message_field(entry, "header"), message_field(entry, "transform")
    parent = message_field(header, "frame_id") if header is not None else message_field(entry, "parent_frame_id")
    body = inner if inner is not None else entry
    translation, rotation = message_field(body, "translation"), message_field(body, "rotation")
    return {
        "parent": str(parent or ""),
        "child": str(message_field(entry, "child_frame_id") or ""),
        "translation": _plain([message_field(translation, axis) for axis in "xyz"]),
        "rotation": _plain([message_field(rotation, axis) for axis in "xyzw"]),
    }


def _plain(values: list[Any]) -> list[float | None]:
    """JSON has neither NaN nor infinity."""
    return [value if math.isfinite(value) else None for value in numbers_at(values)]


def calibration_of(cameras: dict[str, dict[str, Any]], transforms: list[dict[str, Any]]) -> dict[str, Any]:
    """{cameras: {topic: ...}, transforms: [...]}; of a child frame the last transform counts. {} where nothing is."""
    latest = {entry["child"]: entry for entry in transforms}
    found: dict[str, Any] = {}
    if cameras:
        found["cameras"] = dict(sorted(cameras.items()))
    if latest:
        found["transforms"] = [latest[child] for child in sorted(latest)]
    return found
