"""Version 3.0: many episodes in each table and mp4; meta/episodes says which rows and which seconds are whose."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeGuard

from components.core.errors import FormatError
from components.formats.lerobot.catalog import MAX_EPISODES, Camera, Catalog, Entry, Files, relocated
from components.formats.lerobot.info import MAX_COUNT, Info
from components.formats.lerobot.own import is_listed
from components.formats.lerobot.tables import batches, opened
from components.formats.lerobot.video import Clip
from components.formats.source import Problem

EPISODES = "meta/episodes"
TASKS = "meta/tasks.parquet"
_HEAD = ("episode_index", "length", "tasks", "data/chunk_index", "data/file_index")
_VIDEO = ("chunk_index", "file_index", "from_timestamp", "to_timestamp")
# The task's words: a column of its own, or the index of the pandas frame that was written.
_TASK_COLUMNS = ("task", "__index_level_0__")
_MAX_SECONDS = 1e9


def read_catalog(root: Path, info: Info, *, where: str) -> Catalog:
    """Episodes of meta/episodes. Raises `FormatError` (no_episodes, bad_metadata, and as `tables.opened` does)."""
    problems: list[Problem] = []
    listed = _episode_rows(root, info, where, problems)
    rows = [row for row in listed if not _is_tombstone(row)]
    tables, videos = Files.below(root, ".parquet", where=where), Files.below(root, ".mp4", where=where)
    moved_data: dict[str, str] = {}
    moved_video: dict[str, str] = {}
    entries: dict[int, Entry] = {}
    for row in rows:
        expected = info.data_path.path({name: row[f"data/{name}"] for name in _VIDEO[:2]})
        data = tables.locate(expected)
        if data and data != expected:
            moved_data[expected] = data
        cameras = _cameras(row, info, videos, moved_video)
        entries[row["episode_index"]] = Entry(row["episode_index"], data, row["length"], row["tasks"], cameras)
    problems += relocated("data_path", list(moved_data.items()), where)
    problems += relocated("video_path", list(moved_video.items()), where)
    return Catalog(entries, _tasks(root, where, problems), tuple(problems), len(listed) - len(rows))


def _is_tombstone(row: dict[str, Any]) -> bool:
    """Whether a row keeps the place of a deleted episode: episodes are looked up by the position of their row."""
    return row["length"] == 0 and not row["tasks"]


def _cameras(row: dict[str, Any], info: Info, videos: Files, moved: dict[str, str]) -> dict[str, Camera]:
    cameras = {}
    for key in info.video_keys:
        place = {name: row.get(f"videos/{key}/{name}") for name in _VIDEO}
        numbers = {name: value for name in _VIDEO[:2] if _is_index(value := place[name])}
        from_s, to_s = (place[name] for name in _VIDEO[2:])
        if len(numbers) < 2 or not (_is_time(from_s) and _is_time(to_s)):
            cameras[key] = Camera("", Clip(), found=False)
            continue
        path = info.video_path.path(numbers, video_key=key)
        found = videos.locate(path, key=key)
        if found and found != path:
            moved[path] = found
        cameras[key] = Camera(found or path, _clip(from_s, to_s, row["length"], info.fps), bool(found))
    return cameras


def _clip(from_s: float, to_s: float, length: int, fps: float) -> Clip:
    """The span of an episode; `to_timestamp` is where the next one begins (n / fps), or, of some writers, the time of
    the last frame ((n - 1) / fps). Half a frame either way keeps rounding out of it.
    """
    spanned = round((to_s - from_s) * fps)
    return Clip(from_s, to_s + (0.5 if spanned == length - 1 else -0.5) / fps)


def _episode_rows(root: Path, info: Info, where: str, problems: list[Problem]) -> list[dict[str, Any]]:
    """Rows of every file below meta/episodes; a damaged file costs its own rows."""
    paths = [path for path in episode_tables(root) if is_listed(root, path.relative_to(root).as_posix(), where=where)]
    if not paths:
        raise FormatError(
            f"there is no table below {EPISODES}",
            where=where,
            hint="The recording was broken off before it was finalised, or the copy is not complete",
            code="no_episodes",
        )
    rows: list[dict[str, Any]] = []
    errors = []
    for path in paths:
        place = f"{where}/{path.relative_to(root).as_posix()}"
        try:
            for row in _rows_of(path, info, place):
                rows.append(row)
                if len(rows) > MAX_EPISODES:
                    raise FormatError(f"lists more than {MAX_EPISODES} episodes", where=place, code="too_large")
        except FormatError as error:
            errors.append(error)
            problems.append(Problem(error.code, place, error.message))
    if not rows and errors:
        raise errors[0]
    return rows


def episode_tables(root: Path) -> list[Path]:
    return sorted((root / EPISODES).rglob("*.parquet")) if (root / EPISODES).is_dir() else []


def _rows_of(path: Path, info: Info, where: str) -> Iterator[dict[str, Any]]:
    wanted = [*_HEAD, *(f"videos/{key}/{name}" for key in info.video_keys for name in _VIDEO)]
    with opened(path, where=where, code="bad_metadata") as file:
        missing = sorted({*_HEAD} - {"tasks"} - set(file.schema_arrow.names))
        if missing:
            raise FormatError(f"lacks the columns {', '.join(missing)}", where=where, code="missing_column")
        for group in range(file.num_row_groups):
            for batch in batches(file, [group], wanted):
                for row in batch.to_pylist():
                    yield _checked(row, where)


def _checked(row: dict[str, Any], where: str) -> dict[str, Any]:
    for name in _HEAD:
        if name != "tasks" and not _is_index(row[name]):
            raise FormatError(f"column {name!r} holds {str(row[name])[:40]!r}", where=where, code="bad_metadata")
    words = row.get("tasks")
    found = words if isinstance(words, list) else [words]
    return row | {"tasks": tuple(word for word in found if isinstance(word, str))}


def _tasks(root: Path, where: str, problems: list[Problem]) -> dict[int, str]:
    place = f"{where}/{TASKS}"
    tasks: dict[int, str] = {}
    try:
        with opened(root / TASKS, where=place, code="bad_metadata") as file:
            column = next((name for name in _TASK_COLUMNS if name in file.schema_arrow.names), "")
            if not column or "task_index" not in file.schema_arrow.names:
                raise FormatError("lacks the columns task_index and task", where=place, code="missing_column")
            for group in range(file.num_row_groups):
                for batch in batches(file, [group], ["task_index", column]):
                    for row in batch.to_pylist():
                        if _is_index(row["task_index"]) and isinstance(row[column], str):
                            tasks[row["task_index"]] = row[column]
                    if len(tasks) > MAX_EPISODES:
                        raise FormatError("lists too many tasks", where=place, code="too_large")
    except FormatError as error:
        problems.append(Problem(error.code, place, error.message))
    return tasks


def _is_index(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT


def _is_time(value: Any) -> TypeGuard[float]:
    return isinstance(value, float | int) and math.isfinite(value) and 0 <= value <= _MAX_SECONDS
