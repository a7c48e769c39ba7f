"""Messages of cameras as frames: RGB arrays, depth in millimetres, or the JPEG and PNG bytes as they were sent."""

from __future__ import annotations

import base64
import binascii
import io
import struct
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from components.core.errors import EpisodeError
from components.formats.images import decode_depth, decode_image
from components.formats.mapping import StreamRule

Picture = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | bytes

RAW = ("sensor_msgs/Image", "foxglove.RawImage")
COMPRESSED = ("sensor_msgs/CompressedImage", "foxglove.CompressedImage")
# sensor_msgs/image_encodings.hpp: encoding -> bytes a pixel, and which of them are red, green and blue.
_COLOUR: dict[str, tuple[int, tuple[int, int, int]]] = {
    "rgb8": (3, (0, 1, 2)),
    "bgr8": (3, (2, 1, 0)),
    "rgba8": (4, (0, 1, 2)),
    "bgra8": (4, (2, 1, 0)),
    "mono8": (1, (0, 0, 0)),
    "8UC1": (1, (0, 0, 0)),
}
_UNNAMED = {"8UC3": ("rgb8", "bgr8"), "8UC4": ("rgba8", "bgra8")}
_DEPTH = {"16UC1": "u2", "mono16": "u2", "32FC1": "f4"}
_MOST_PIXELS = 64_000_000
_MOST_MM = 65535
# compressed_depth_image_transport puts its format and two quantisation constants before the PNG.
_DEPTH_HEADER = struct.Struct("<iff")
_MAGIC = {b"\xff\xd8": "jpeg", b"\x89P": "png"}


def kind_of(type_name: str, message: Any) -> Literal["image", "depth", ""]:
    """What a camera message shows, "" for what is no picture or one that nobody here decodes."""
    if type_name in RAW:
        encoding = str(message_field(message, "encoding"))
        if encoding in _DEPTH:
            return "depth"
        return "image" if encoding in _COLOUR or encoding in _UNNAMED else ""
    if type_name in COMPRESSED:
        if "compresseddepth" in _format(message).lower():
            return "depth"
        data = _bytes(message)
        sort = _MAGIC.get(data[:2], "")
        if sort == "png" and data[24:26] == b"\x10\x00":
            return "depth"
        return "image" if sort else ""
    return ""


def picture(message: Any, type_name: str, rule: StreamRule, *, where: str) -> Picture:
    """Frame of an image or depth stream; see `core.episode.Stream`. Raises `EpisodeError` (wrong_type, bad_image)."""
    if type_name in RAW:
        frame: Picture = _raw_depth(message, where) if rule.kind == "depth" else _raw_colour(message, rule, where)
    elif type_name in COMPRESSED:
        frame = _compressed_depth(message, where) if rule.kind == "depth" else _compressed(message, where)
    else:
        raise EpisodeError(
            f"{type_name or 'untyped'} messages are no pictures",
            where=where,
            hint=f"Read are {', '.join((*RAW, *COMPRESSED))}",
            code="wrong_type",
        )
    return _upright(frame, rule, where) if rule.flip else frame


def _upright(frame: Any, rule: StreamRule, where: str) -> Picture:
    """Rows from last to first, of an array."""
    if rule.kind == "depth":
        return np.ascontiguousarray(decode_depth(frame, where=where)[::-1])
    return np.ascontiguousarray(decode_image(frame, where=where)[::-1])


def message_field(message: Any, name: str) -> Any:
    return message.get(name) if isinstance(message, dict) else getattr(message, name, None)


def _format(message: Any) -> str:
    return str(message_field(message, "format") or "")


def _bytes(message: Any) -> bytes:
    data = message_field(message, "data")
    # JSON has no bytes; foxglove's schemas say base64.
    if isinstance(data, str):
        try:
            return base64.b64decode(data, validate=True)
        except binascii.Error:
            return b""
    return bytes(data or b"")


def _raw_colour(message: Any, rule: StreamRule, where: str) -> npt.NDArray[np.uint8]:
    encoding = str(message_field(message, "encoding"))
    if encoding in _UNNAMED:
        encoding = _UNNAMED[encoding][rule.order == "bgr"]
    if encoding not in _COLOUR:
        hint = "Map it as kind: depth" if encoding in _DEPTH else f"Read are {', '.join(_COLOUR)}"
        raise EpisodeError(f"an image is {encoding!r}, which is no colour", where=where, hint=hint, code="wrong_type")
    channels, order = _COLOUR[encoding]
    pixels = _pixels(message, channels, where).reshape(-1, _size(message, "width", where), channels)
    if order == (0, 1, 2) and channels == 3:
        return pixels
    return np.ascontiguousarray(pixels[:, :, order])


def _raw_depth(message: Any, where: str) -> npt.NDArray[np.uint16]:
    encoding = str(message_field(message, "encoding"))
    if encoding not in _DEPTH:
        raise EpisodeError(
            f"an image is {encoding!r}, which is no depth",
            where=where,
            hint=f"Read as depth are {', '.join(_DEPTH)}",
            code="wrong_type",
        )
    kind = np.dtype((">" if message_field(message, "is_bigendian") else "<") + _DEPTH[encoding])
    pixels = _pixels(message, kind.itemsize, where).view(kind)
    if encoding == "32FC1":
        return millimetres(pixels)
    return pixels.astype(np.uint16)


def millimetres(metres: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint16]:
    """uint16 from metres; 0 where nothing was measured (NaN, infinity, negative), the greatest value where too far."""
    known = np.isfinite(metres) & (metres > 0)
    return np.where(known, np.minimum(np.rint(np.where(known, metres, 0) * 1000.0), _MOST_MM), 0).astype(np.uint16)


def _size(message: Any, name: str, where: str) -> int:
    value = message_field(message, name)
    if not isinstance(value, int) or not 0 < value <= _MOST_PIXELS:
        raise EpisodeError(f"an image has {name} {value!r}", where=where, code="bad_image")
    return value


def _pixels(message: Any, pixel_bytes: int, where: str) -> npt.NDArray[np.uint8]:
    """uint8 [H, W * pixel_bytes], without what pads each row."""
    height, width = _size(message, "height", where), _size(message, "width", where)
    data, row = _bytes(message), width * pixel_bytes
    step = message_field(message, "step") or row
    if height * width > _MOST_PIXELS or step < row or height * step > len(data):
        raise EpisodeError(
            f"an image of {width} x {height} pixels with rows of {step} bytes holds {len(data)} bytes",
            where=where,
            code="bad_image",
        )
    rows = np.frombuffer(data, np.uint8, height * step).reshape(height, step)
    return np.ascontiguousarray(rows[:, :row])


def _compressed(message: Any, where: str) -> bytes:
    data = _bytes(message)
    if data[:2] not in _MAGIC:
        raise EpisodeError(
            f"a frame called {_format(message)[:40]!r} is neither JPEG nor PNG", where=where, code="bad_image"
        )
    return data


def _compressed_depth(message: Any, where: str) -> Picture:
    data, form = _bytes(message), _format(message)
    if "compresseddepth" not in form.lower():
        return _compressed(message, where)
    png = data[_DEPTH_HEADER.size :]
    if _MAGIC.get(png[:2]) != "png":
        raise EpisodeError(f"a depth frame called {form[:40]!r} is no PNG", where=where, code="bad_image")
    if not form.startswith("32FC1"):
        return png
    _, scale, offset = _DEPTH_HEADER.unpack_from(data)
    inverse = decode_depth(png, where=where).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return millimetres(np.where(inverse > 0, scale / (inverse - offset), np.nan))


def size_of(frame: Picture, *, where: str) -> tuple[int, ...]:
    """Shape of a frame; of encoded bytes without decoding them. Raises `EpisodeError` (bad_image)."""
    if isinstance(frame, np.ndarray):
        return tuple(frame.shape)
    try:
        with Image.open(io.BytesIO(frame), formats=("JPEG", "PNG")) as image:
            return (image.height, image.width) if image.mode.startswith("I") else (image.height, image.width, 3)
    # Pillow raises OSError, SyntaxError, ValueError, struct.error and more on damaged bytes.
    except Exception as error:
        raise EpisodeError(f"a frame cannot be decoded ({error})", where=where, code="bad_image") from error
