"""Versions 2.0 and 2.1: one table and one mp4 per camera for each episode; what they are about in JSON lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.core.errors import FormatError
from components.formats.assemble import said
from components.formats.lerobot.catalog import MAX_EPISODES, Camera, Catalog, Entry, Files, relocated
from components.formats.lerobot.info import MAX_COUNT, Info
from components.formats.lerobot.video import Clip
from components.formats.source import Problem

EPISODES = "meta/episodes.jsonl"
TASKS = "meta/tasks.jsonl"
_NUMBER = re.compile(r"(\d{1,9})(?=\D*$)")
_MAX_LINE = 1 << 22


@dataclass
class _Moved:
    data: list[tuple[str, str]] = field(default_factory=list)
    video: list[tuple[str, str]] = field(default_factory=list)


def read_catalog(root: Path, info: Info, *, where: str) -> Catalog:
    """Episodes that episodes.jsonl lists or whose table is there. Raises `FormatError` (no_episodes, too_large)."""
    problems: list[Problem] = []
    listed = {row["episode_index"]: row for row in _rows(root, EPISODES, "episode_index", where, problems)}
    tasks = {
        row["task_index"]: row["task"] for row in _rows(root, TASKS, "task_index", where, problems) if "task" in row
    }
    tables, videos = Files.below(root, ".parquet", where=where), Files.below(root, ".mp4", where=where)
    moved = _Moved()
    entries = {}
    for index in sorted({*listed, *_unlisted(info, tables)}):
        entries[index] = _entry(index, listed.get(index, {}), info, (tables, videos), moved)
    problems += relocated("data_path", moved.data, where) + relocated("video_path", moved.video, where)
    unlisted = [index for index in entries if index not in listed]
    if unlisted and listed:
        detail = f"{len(unlisted)} episodes have a table and no line, first episode {unlisted[0]}"
        problems.append(Problem("unlisted_episodes", f"{where}/{EPISODES}", detail))
    return Catalog(entries, {index: task for index, task in tasks.items() if isinstance(task, str)}, tuple(problems))


def _entry(index: int, row: dict[str, Any], info: Info, files: tuple[Files, Files], moved: _Moved) -> Entry:
    tables, videos = files
    numbers = _numbers(index, info)
    expected = info.data_path.path(numbers)
    data = tables.locate(expected, chunk=False)
    if data and data != expected:
        moved.data.append((expected, data))
    cameras = {}
    for key in info.video_keys:
        path = info.video_path.path(numbers, video_key=key)
        found = videos.locate(path, key=key, chunk=False)
        if found and found != path:
            moved.video.append((path, found))
        cameras[key] = Camera(found or path, Clip(), bool(found))
    length, words = row.get("length"), row.get("tasks")
    return Entry(
        index=index,
        data=data,
        length=length if _is_index(length) else None,
        tasks=tuple(word for word in words if isinstance(word, str)) if isinstance(words, list) else (),
        cameras=cameras,
    )


def _numbers(index: int, info: Info) -> dict[str, int]:
    """What the templates ask for; some trees call the chunk by its name of version 3.0."""
    chunk = index // info.chunks_size
    return {"episode_index": index, "episode_chunk": chunk, "chunk_index": chunk}


def _unlisted(info: Info, tables: Files) -> Iterator[int]:
    """Numbers at the end of the names of tables, where the template gives that very name for them."""
    for name in tables.by_name:
        found = _NUMBER.search(name)
        if found:
            index = int(found.group(1))
            path = info.data_path.path(_numbers(index, info))
            if path.rsplit("/", 1)[-1] == name:
                yield index


def _rows(root: Path, name: str, key: str, where: str, problems: list[Problem]) -> list[dict[str, Any]]:
    """Lines with a number under `key`; what is damaged becomes one problem and costs only itself."""
    rows, wrong = [], []
    try:
        for number, line in enumerate(_lines(root / name, f"{where}/{name}"), start=1):
            row = _parsed(line)
            if isinstance(row, dict) and _is_index(row.get(key)):
                rows.append(row)
            else:
                wrong.append(f"line {number}: {row if isinstance(row, str) else f'no number under {key!r}'}")
    except FormatError as error:
        wrong.append(error.message)
    if wrong:
        detail = f"{len(wrong)} lines cannot be used; {wrong[0]}" if len(wrong) > 1 else wrong[0]
        problems.append(Problem("bad_metadata", f"{where}/{name}", detail))
    return rows


def _lines(path: Path, where: str) -> Iterator[bytes]:
    try:
        with path.open("rb") as stream:
            count = 0
            while line := stream.readline(_MAX_LINE):
                count += 1
                if count > MAX_EPISODES or len(line) == _MAX_LINE:
                    raise FormatError("has too many or too long lines", where=where, code="too_large")
                if line.strip():
                    yield line
            if not count:
                raise FormatError("the file is empty", where=where, code="bad_metadata")
    except OSError as error:
        raise FormatError(f"cannot be opened ({error.strerror})", where=where, code="bad_metadata") from error


def _parsed(line: bytes) -> dict[str, Any] | str:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return said(error)
    return value if isinstance(value, dict) else f"holds a {type(value).__name__}"


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT
