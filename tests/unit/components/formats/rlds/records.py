"""TFRecord files of tf.train.Example in the layout that TFDS writes for RLDS, made without TensorFlow.

Framing as in tensorflow/core/lib/io/record_writer.h, the flattened keys and features.json as in published data sets.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from components.formats.rlds.tfrecord import masked_crc


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, body: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(body)) + body


def example(values: Mapping[str, Any]) -> bytes:
    """Lists of bytes, float arrays and int arrays as a serialised tf.train.Example."""
    entries = b""
    for name, found in values.items():
        if isinstance(found, list):
            feature = field(1, b"".join(field(1, item) for item in found))
        elif np.asarray(found).dtype.kind == "f":
            feature = field(2, field(1, np.asarray(found, "<f4").tobytes()))
        else:
            feature = field(3, field(1, b"".join(varint(int(item)) for item in np.asarray(found).reshape(-1))))
        entries += field(1, field(1, name.encode()) + field(2, feature))
    return field(1, entries)


def framed(payload: bytes) -> bytes:
    head = struct.pack("<Q", len(payload))
    crcs = struct.pack("<I", masked_crc(head)), struct.pack("<I", masked_crc(payload))
    return head + crcs[0] + payload + crcs[1]


def picture(seed: int, *, size: int = 16, format_: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (size, size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, format_)
    return buffer.getvalue()


def black(*, size: int = 16, format_: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size)).save(buffer, format_)
    return buffer.getvalue()


def episode(seed: int = 0, steps: int = 5, *, last: int | None = None, **changes: Any) -> dict[str, Any]:
    """Values of a record; `last`: the step that is_last marks, none where absent; `changes`: key with __ for /."""
    rng = np.random.default_rng(seed)
    marks = np.zeros(steps, np.int64)
    if last is not None:
        marks[last] = 1
    values: dict[str, Any] = {
        "episode_metadata/file_path": [f"/somewhere/{seed}.npy".encode()],
        "episode_metadata/has_image_1": np.array([0]),
        "steps/action": rng.normal(size=steps * 7).astype(np.float32),
        "steps/is_first": np.eye(1, steps, dtype=np.int64)[0],
        "steps/is_last": marks,
        "steps/language_embedding": rng.normal(size=steps * 512).astype(np.float32),
        "steps/language_instruction": [b"put the carrot on the plate"] * steps,
        "steps/observation/image_0": [picture(seed * 100 + step) for step in range(steps)],
        "steps/observation/image_1": [black()] * steps,
        "steps/observation/state": rng.normal(size=steps * 3).astype(np.float32),
        "steps/reward": np.zeros(steps, np.float32),
    }
    for key, value in changes.items():
        values[key.replace("__", "/")] = value
    return {key: value for key, value in values.items() if value is not None}


def tensor(dtype: str, *shape: int, encoding: str = "none") -> dict[str, Any]:
    dimensions = {"dimensions": [str(size) for size in shape]} if shape else {}
    return {"tensor": {"shape": dimensions, "dtype": dtype, "encoding": encoding}}


def image(*shape: int, dtype: str = "uint8", encoding: str = "jpeg") -> dict[str, Any]:
    dimensions = [str(size) for size in shape]
    return {"image": {"shape": {"dimensions": dimensions}, "dtype": dtype, "encodingFormat": encoding}}


def nested(features: Mapping[str, Any]) -> dict[str, Any]:
    return {"pythonClassName": "FeaturesDict", "featuresDict": {"features": dict(features)}}


def features(observation: Mapping[str, Any] | None = None, **steps: Any) -> dict[str, Any]:
    """features.json of `episode`; more features of the observation and of the steps may be given."""
    seen = {"image_0": image(16, 16, 3), "image_1": image(16, 16, 3), "state": tensor("float32", 3)}
    in_steps = {
        "action": tensor("float32", 7),
        "is_first": tensor("bool"),
        "is_last": tensor("bool"),
        "language_embedding": tensor("float32", 512),
        "language_instruction": {"pythonClassName": "Text", "text": {}},
        "observation": nested({**seen, **(observation or {})}),
        "reward": tensor("float32"),
        **steps,
    }
    metadata = {"file_path": {"text": {}}, "has_image_1": tensor("bool")}
    return nested({"episode_metadata": nested(metadata), "steps": {"sequence": {"feature": nested(in_steps)}}})


def write(
    folder: Path,
    records: Sequence[Mapping[str, Any] | bytes],
    said: Mapping[str, Any] | None = None,
    *,
    name: str = "toy-train.tfrecord-00000-of-00001",
) -> Path:
    """A TFRecord of values or payloads, and features.json beside it where `said` is given."""
    folder.mkdir(parents=True, exist_ok=True)
    payloads = [record if isinstance(record, bytes) else example(record) for record in records]
    (folder / name).write_bytes(b"".join(framed(payload) for payload in payloads))
    if said is not None:
        (folder / "features.json").write_text(json.dumps(said))
    return folder / name
