"""meta/info.json as it is promised to be; anything else is an error that names the field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core.errors import FormatError
from components.formats.assemble import library_errors
from components.formats.lerobot.template import Template, parse

PATH = "meta/info.json"
VERSIONS = ("v2.0", "v2.1", "v3.0")
# Where info.json leaves a path out, the one that LeRobot itself writes.
_DATA_V2 = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
_VIDEO_V2 = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
_DATA_V3 = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_VIDEO_V3 = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
_FIELDS_V2 = ("episode_chunk", "chunk_index", "episode_index")
_FIELDS_V3 = ("chunk_index", "file_index")

LFS_POINTER = b"version https://git-lfs"
_MAX_BYTES = 1 << 26
_MAX_FPS = 100_000
# Numbers beyond this are no count of anything.
MAX_COUNT = 1 << 48
_MAX_FEATURES = 4096
_MAX_DEPTH = 4


@dataclass(frozen=True)
class Feature:
    """`names`: one for each number of a vector, flattened from whatever shape they have; `video`: codec, fps ..."""

    key: str
    dtype: str
    shape: tuple[int, ...]
    names: tuple[str, ...]
    video: Mapping[str, Any]

    @property
    def is_picture(self) -> bool:
        return self.dtype in ("video", "image")

    @property
    def is_depth(self) -> bool:
        return self.video.get("video.is_depth_map", self.video.get("is_depth_map")) is True


@dataclass(frozen=True)
class Info:
    """`version`: one of `VERSIONS`; totals are None where info.json does not give them."""

    version: str
    fps: float
    robot_type: str
    features: Mapping[str, Feature]
    total_episodes: int | None
    total_frames: int | None
    chunks_size: int
    data_path: Template
    video_path: Template

    @property
    def is_v3(self) -> bool:
        return self.version == "v3.0"

    @property
    def video_keys(self) -> tuple[str, ...]:
        return tuple(key for key, feature in self.features.items() if feature.dtype == "video")


def read_info(root: Path, *, where: str) -> Info:
    """Raises `FormatError`: bad_info naming the field, unsupported_version, too_large, or unreadable."""
    where = f"{where}/{PATH}"
    raw = read_json_object(root / PATH, where=where, code="bad_info")
    version = _version(raw, where)
    fields = _FIELDS_V3 if version == "v3.0" else _FIELDS_V2
    data, video = (_DATA_V3, _VIDEO_V3) if version == "v3.0" else (_DATA_V2, _VIDEO_V2)
    fps = raw.get("fps")
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 < fps <= _MAX_FPS:
        raise _wrong("fps", fps, "frames a second", where)
    data_path = parse(_text(raw, "data_path", data, where), fields, "data_path", where=where)
    video_fields = (*fields, "video_key")
    video_path = parse(_text(raw, "video_path", video, where), video_fields, "video_path", where=where)
    if version != "v3.0" and not all("{episode_index" in template.text for template in (data_path, video_path)):
        raise _wrong("data_path", data_path.text, "paths with {episode_index}", where)
    return Info(
        version=version,
        fps=float(fps),
        robot_type=_text(raw, "robot_type", "", where),
        features=_features(raw.get("features"), where),
        total_episodes=_count(raw, "total_episodes", where),
        total_frames=_count(raw, "total_frames", where),
        chunks_size=max(_count(raw, "chunks_size", where) or 1000, 1),
        data_path=data_path,
        video_path=video_path,
    )


def read_json_object(path: Path, *, where: str, code: str) -> dict[str, Any]:
    """A JSON object from a small file. Raises `FormatError` (`code`, too_large, unreadable)."""
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= _MAX_BYTES else b""
    except OSError as error:
        raise FormatError(f"cannot be opened ({error.strerror})", where=where, code="unreadable") from error
    if size > _MAX_BYTES:
        raise FormatError(f"has {size} bytes", where=where, code="too_large")
    if data.startswith(LFS_POINTER):
        raise FormatError(
            "a git-LFS pointer instead of the file", where=where, hint="Run `git lfs pull`", code="lfs_pointer"
        )
    if not data.strip():
        raise FormatError("the file is empty", where=where, hint="Copy the tree again", code=code)
    with library_errors(where, code=code):
        value = json.loads(data)
    if not isinstance(value, dict):
        raise FormatError(f"holds a {type(value).__name__}, expected an object", where=where, code=code)
    return value


def _version(raw: dict[str, Any], where: str) -> str:
    version = raw.get("codebase_version")
    if not isinstance(version, str):
        raise _wrong("codebase_version", version, f"one of {', '.join(VERSIONS)}", where)
    if version not in VERSIONS:
        raise FormatError(
            f"'codebase_version' is {version[:40]!r}, read are {', '.join(VERSIONS)}",
            where=where,
            hint="Convert it with LeRobot's own script",
            code="unsupported_version",
        )
    return version


def _features(raw: Any, where: str) -> dict[str, Feature]:
    if not isinstance(raw, dict) or not raw or len(raw) > _MAX_FEATURES:
        raise _wrong("features", raw, "an object with an entry for each feature", where)
    features = {}
    for key, value in raw.items():
        name = f"features.{key[:80]}"
        if not isinstance(value, dict):
            raise _wrong(name, value, "an object", where)
        shape, dtype = value.get("shape"), value.get("dtype")
        if not isinstance(dtype, str):
            raise _wrong(f"{name}.dtype", dtype, "a type", where)
        if not isinstance(shape, list) or not all(_is_count(size) for size in shape):
            raise _wrong(f"{name}.shape", shape, "a list of sizes", where)
        video = value.get("info", value.get("video_info")) or {}
        if not isinstance(video, dict):
            raise _wrong(f"{name}.info", video, "an object", where)
        names = flat_names(value.get("names"))
        features[key] = Feature(key, dtype, tuple(shape), names, video)
    return features


def flat_names(value: Any, depth: int = 0) -> tuple[str, ...]:
    """Names from a list, nested lists, an object of lists ({"motors": [...]}) or of positions ({"dx": 0})."""
    if isinstance(value, str):
        return (value,)
    if depth >= _MAX_DEPTH:
        return ()
    if isinstance(value, list):
        return tuple(name for part in value for name in flat_names(part, depth + 1))
    if isinstance(value, dict):
        if value and all(_is_count(position) for position in value.values()):
            return tuple(sorted(value, key=lambda name: (value[name], name)))
        return tuple(name for part in value.values() for name in flat_names(part, depth + 1))
    return ()


def _count(raw: dict[str, Any], name: str, where: str) -> int | None:
    value = raw.get(name)
    if value is not None and not _is_count(value):
        raise _wrong(name, value, "a count", where)
    return value


def _text(raw: dict[str, Any], name: str, default: str, where: str) -> str:
    value = raw.get(name)
    if value is not None and not isinstance(value, str):
        raise _wrong(name, value, "text", where)
    return value or default


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT


def _wrong(name: str, value: Any, expected: str, where: str) -> FormatError:
    if value is None:
        return FormatError(f"{name!r} is missing, expected {expected}", where=where, code="bad_info")
    found = repr(value) if not isinstance(value, list | dict) else type(value).__name__
    return FormatError(f"{name!r} is {found[:80]}, expected {expected}", where=where, code="bad_info")


def number(value: Any) -> float | None:
    """A number of sane size from JSON, or None."""
    if isinstance(value, int | float) and not isinstance(value, bool) and -MAX_COUNT < value < MAX_COUNT:
        return float(value)
    return None
