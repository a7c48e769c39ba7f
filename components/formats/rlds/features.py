"""What features.json beside a TFRecord says: the shape and type of every flattened feature.

Source: tensorflow_datasets/core/proto/feature.proto, written as JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from components.core.errors import FormatError
from components.formats.assemble import library_errors

FeatureKind = Literal["tensor", "image", "text", "other"]

_FILE = "features.json"
_INFO = "dataset_info.json"
_MAX_JSON_BYTES = 1 << 24
# Numbers of one sample; above it is a damaged shape.
_MAX_WIDTH = 1 << 28


@dataclass(frozen=True)
class Feature:
    """`shape`: of one sample, -1 where it may vary; `ragged`: a sequence within the sequence of steps."""

    kind: FeatureKind
    dtype: str = ""
    shape: tuple[int, ...] = ()
    encoding: str = ""
    ragged: bool = False

    @property
    def width(self) -> int | None:
        """Numbers of one sample, None where that may vary."""
        return math.prod(self.shape) if all(size >= 0 for size in self.shape) else None


def load_features(folder: Path, *, where: str) -> dict[str, Feature]:
    """Flattened name ("steps/observation/state") -> feature; empty where there is no features.json.

    Raises `FormatError` (bad_features).
    """
    raw = _load_json(folder / _FILE, where)
    if raw is None:
        return {}
    with library_errors(f"{where} ({_FILE})", code="bad_features"):
        return dict(_flattened(raw, "", 0))


def records_promised(path: Path, *, where: str) -> int | None:
    """How many records dataset_info.json gives a file named <dataset>-<split>.tfrecord-<shard>-of-<shards>.

    None where it does not say. Raises `FormatError` (bad_features).
    """
    raw = _load_json(path.parent / _INFO, where)
    if raw is None:
        return None
    with library_errors(f"{where} ({_INFO})", code="bad_features"):
        for split in raw.get("splits", []):
            lengths = split.get("shardLengths", [])
            for shard, length in enumerate(lengths):
                if path.name == f"{raw['name']}-{split['name']}.tfrecord-{shard:05d}-of-{len(lengths):05d}":
                    return int(length)
    return None


def _load_json(path: Path, where: str) -> Any:
    place = f"{where} ({path.name})"
    with library_errors(place, code="bad_features"):
        if not path.is_file():
            return None
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise FormatError(f"{path.stat().st_size} bytes of JSON", where=place, code="bad_features")
        return json.loads(path.read_text())


def _flattened(node: Any, name: str, sequences: int) -> Iterator[tuple[str, Feature]]:
    if "featuresDict" in node:
        for key, child in sorted(node["featuresDict"]["features"].items()):
            yield from _flattened(child, f"{name}/{key}" if name else key, sequences)
        return
    if "sequence" in node:
        length = int(node["sequence"].get("length", -1))
        for key, feature in _flattened(node["sequence"]["feature"], name, sequences + 1):
            yield key, _repeated(feature, length) if sequences else feature
        return
    yield name, _leaf(node)


def _repeated(feature: Feature, length: int) -> Feature:
    """A sequence in each step: `length` samples where that is fixed, else ragged."""
    if length >= 0 and feature.kind == "tensor":
        return Feature(feature.kind, feature.dtype, (length, *feature.shape), feature.encoding, feature.ragged)
    return Feature(feature.kind, feature.dtype, feature.shape, feature.encoding, ragged=True)


def _leaf(node: dict[str, Any]) -> Feature:
    if "image" in node:
        image = node["image"]
        return Feature("image", image.get("dtype", "uint8"), _shape(image), image.get("encodingFormat", ""))
    if "tensor" in node:
        tensor = node["tensor"]
        kind: FeatureKind = "text" if tensor["dtype"] in ("string", "object", "str") else "tensor"
        encoding = tensor.get("encoding", "none")
        return Feature(kind, str(tensor["dtype"]), _shape(tensor), "" if encoding == "none" else str(encoding))
    if "text" in node:
        return Feature("text", "string")
    if "classLabel" in node:
        return Feature("tensor", "int64")
    return Feature("other", str(node.get("pythonClassName", "unknown")).rpartition(".")[2])


def _shape(node: dict[str, Any]) -> tuple[int, ...]:
    shape = tuple(int(size) for size in node.get("shape", {}).get("dimensions", ()))
    if any(size < -1 for size in shape) or math.prod(size for size in shape if size > 0) > _MAX_WIDTH:
        raise ValueError(f"shape {list(shape)}")
    return shape
