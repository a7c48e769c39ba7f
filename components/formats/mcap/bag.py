"""A recording in several files: a folder with the `metadata.yaml` of rosbag2, read as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.core.errors import FormatError
from components.formats.mcap.contents import Contents, counts_by_topic
from components.formats.source import Problem

_METADATA = "metadata.yaml"
_KEY = "rosbag2_bagfile_information"
_MOST_BYTES = 1 << 24


@dataclass(frozen=True)
class Bag:
    """`files` in order; `said`: what the folder's metadata says of them, empty for a single file."""

    files: tuple[Path, ...]
    said: dict[str, Any]


def open_bag(path: Path, *, where: str) -> Bag:
    """Raises `FormatError` (bad_metadata, missing_file, unsupported_compression)."""
    if not path.is_dir():
        return Bag((path,), {})
    said = _metadata(path / _METADATA, where)
    names = said.get("relative_file_paths")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise FormatError(
            "names no files under relative_file_paths",
            where=f"{where}/{_METADATA}",
            hint="`ros2 bag reindex -s mcap` writes it anew",
            code="bad_metadata",
        )
    return Bag(tuple(_file(path, name, where) for name in names), said)


def _metadata(path: Path, where: str) -> dict[str, Any]:
    place = f"{where}/{_METADATA}"
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise FormatError(f"has more than {_MOST_BYTES} bytes", where=place, code="too_large")
        raw = yaml.safe_load(path.read_text())
    except OSError as error:
        raise FormatError(f"cannot be opened ({error.strerror})", where=place, code="missing_file") from error
    # Deep nesting ends in a RecursionError.
    except (UnicodeDecodeError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise FormatError(
            f"is no YAML ({' '.join(str(error).split())[:200]})", where=place, code="bad_metadata"
        ) from error
    said = raw.get(_KEY) if isinstance(raw, dict) else None
    if not isinstance(said, dict):
        raise FormatError(f"has no {_KEY}", where=place, code="bad_metadata")
    return said


def _file(folder: Path, name: str, where: str) -> Path:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise FormatError(f"names {name!r}, outside of its folder", where=f"{where}/{_METADATA}", code="bad_metadata")
    if not path.is_file():
        raise FormatError(
            f"the file {name!r} of the recording is missing", where=where, hint="Copy all of them", code="missing_file"
        )
    if path.suffix in (".zstd", ".zst", ".lz4"):
        raise FormatError(
            f"{name!r} is compressed as a whole",
            where=where,
            hint=f"Run `zstd -d {path.name}` and correct metadata.yaml, or `ros2 bag reindex`",
            code="unsupported_compression",
        )
    return path


def disagreements(bag: Bag, files: Sequence[Contents], where: str) -> tuple[Problem, ...]:
    """Where the metadata counts other messages than its files hold."""
    if not bag.said:
        return ()
    place, found = f"{where}/{_METADATA}", counts_by_topic(files)
    wrong = [("messages", bag.said.get("message_count"), sum(found.values()))]
    for entry in _entries(bag.said):
        name = entry["topic_metadata"].get("name")
        wrong.append((f"messages of {name}", entry.get("message_count"), found.get(str(name), 0)))
    return tuple(
        Problem("count_mismatch", place, f"says {said} {what}, the files hold {there}")
        for what, said, there in wrong
        if said is not None and said != there
    )


def _entries(said: dict[str, Any]) -> list[dict[str, Any]]:
    entries = said.get("topics_with_message_count")
    if not isinstance(entries, list):
        return []
    return [e for e in entries if isinstance(e, dict) and isinstance(e.get("topic_metadata"), dict)]
