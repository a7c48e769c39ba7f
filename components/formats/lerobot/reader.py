"""LeRobot trees: a folder with meta/info.json, of version 2.0, 2.1 or 3.0. See `formats.source` for the functions."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from components.core.episode import Episode
from components.core.errors import EpisodeError, FormatError
from components.formats.lerobot import v2, v3
from components.formats.lerobot.catalog import Catalog, Entry
from components.formats.lerobot.columns import quiet_nan
from components.formats.lerobot.disagreements import Sample, find_disagreements, rows_of, take_samples
from components.formats.lerobot.episode import read_episode
from components.formats.lerobot.guess import guess_mapping
from components.formats.lerobot.info import PATH, Info, read_info
from components.formats.lerobot.own import UNFINISHED, is_own, require_unchanged
from components.formats.lerobot.own_streams import own_rules
from components.formats.lerobot.tables import opened
from components.formats.lerobot.video import read_header
from components.formats.mapping import Mapping
from components.formats.source import Field, Opened, Problem, Recording

_PART = re.compile(r"episode_(\d{6,15})")
_META = (PATH, v2.EPISODES, v2.TASKS, v3.TASKS)


def open_source(path: Path, mapping: Mapping | None, *, where: str) -> Opened:
    """Parts are the episodes whose table is there, as "episode_000001". Raises `FormatError`."""
    _require_own_metadata(path, where)
    info = read_info(path, where=where)
    _catalog.cache_clear()
    catalog = _catalog(path, _stamp(path), where)
    if not catalog.readable:
        raise FormatError(
            f"no episode's table is there; {len(catalog.entries)} are listed",
            where=where,
            hint="Copy the data folder as well",
            code="no_episodes",
        )
    samples = take_samples(path, info, catalog, where=where)
    with quiet_nan():
        problems = [*catalog.problems, *find_disagreements(path, info, catalog, samples, where=where)]
    if mapping is None:
        mapping = _mapping(path, info, samples, problems, where)
    parts = tuple(f"episode_{index:06d}" for index in catalog.readable)
    return Opened(info.version, parts, mapping, tuple(problems))


def fields(path: Path, part: str, mapping: Mapping, *, where: str) -> list[Field]:
    """Columns of the table of an episode, and its videos. `where` names the part. Raises `FormatError`."""
    root_uri = where.split("#")[0]
    info, entry = _entry(path, part, root_uri)
    place = f"{root_uri}/{entry.data}"
    rows = len(rows_of(path, info, entry, where=place))
    streams = {rule.source: name for name, rule in mapping.streams.items()}
    with opened(path / entry.data, where=place) as file:
        columns = [(field.name, field.type) for field in file.schema_arrow]
    found = []
    for name, type_ in columns:
        shape = info.features[name].shape if name in info.features else ()
        found.append(Field(name, str(type_), shape, rows, info.fps, streams.get(name, "")))
    for key, camera in entry.cameras.items():
        try:
            header = read_header(path / camera.path, where=f"{root_uri}/{camera.path}")
        except FormatError as error:
            found.append(Field(key, "video", (), 0, 0.0, problem=f"{error.code}: {error.message}"))
            continue
        shape = (header.height, header.width, 3)
        found.append(Field(key, header.codec, shape, rows, header.fps, streams.get(key, "")))
    return found


def read_part(recording: Recording, part: str) -> Episode:
    """Frames of the cameras are decoded when they are looked at. Raises `FormatError` or `EpisodeError`."""
    info, entry = _entry(recording.path, part, recording.uri)
    tasks = _catalog(recording.path, _stamp(recording.path), recording.uri).tasks
    with quiet_nan():
        return read_episode(recording, part, info, entry, tasks)


def _entry(root: Path, part: str, where: str) -> tuple[Info, Entry]:
    info = read_info(root, where=where)
    name = _PART.fullmatch(part)
    entry = _catalog(root, _stamp(root), where).entries.get(int(name.group(1))) if name else None
    if entry is None or not entry.data:
        raise EpisodeError("there is no such episode", where=f"{where}#{part}", code="missing_episode")
    return info, entry


@lru_cache(maxsize=2)
def _catalog(root: Path, _stamp: tuple[tuple[int, int], ...], where: str) -> Catalog:
    info = read_info(root, where=where)
    return v3.read_catalog(root, info, where=where) if info.is_v3 else v2.read_catalog(root, info, where=where)


def _stamp(root: Path) -> tuple[tuple[int, int], ...]:
    """Changes when the metadata do."""
    files = [*(root / name for name in _META), *v3.episode_tables(root)]
    return tuple((s.st_size, s.st_mtime_ns) for s in (file.stat() for file in files if file.is_file()))


def _mapping(root: Path, info: Info, samples: list[Sample], problems: list[Problem], where: str) -> Mapping:
    guessed = guess_mapping(info, samples)
    if not is_own(root):
        return guessed
    try:
        rules = own_rules(root, where=where)
    except FormatError as error:
        problems.append(Problem(error.code, error.where or where, error.message))
        return guessed
    if not rules:
        return guessed
    taken = {rule.source for rule in rules.values()}
    more = {name: rule for name, rule in guessed.streams.items() if rule.source not in taken and name not in rules}
    return guessed.model_copy(update={"name": "gripline", "streams": rules | more})


def _require_own_metadata(root: Path, where: str) -> None:
    if (root / UNFINISHED).is_dir():
        raise FormatError(
            "the last write to it was broken off",
            where=where,
            hint="Run ingest into it again, which completes it",
            code="unfinished",
        )
    if is_own(root):
        episodes = (path.relative_to(root).as_posix() for path in v3.episode_tables(root))
        for name in (PATH, v3.TASKS, *episodes):
            require_unchanged(root, name, where=where)
