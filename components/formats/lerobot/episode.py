"""One episode of a tree: its rows as numeric streams, its mp4s as lazy cameras, its words and its provenance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from components.core.episode import Episode, Stream
from components.core.errors import EpisodeError
from components.formats.assemble import (
    Times,
    assumed_times,
    build_episode,
    is_picture,
    numeric_stream,
    picture_stream,
    times_from_seconds,
)
from components.formats.lerobot import own
from components.formats.lerobot.catalog import Camera, Entry
from components.formats.lerobot.columns import (
    InlinePictures,
    Numbers,
    is_inline_picture,
    is_numeric,
    is_text,
    read_columns,
)
from components.formats.lerobot.disagreements import rows_of
from components.formats.lerobot.guess import SENSOR_TIME, fitting_names
from components.formats.lerobot.info import Info
from components.formats.lerobot.own_streams import depth_cameras
from components.formats.lerobot.tables import Rows, opened
from components.formats.lerobot.video import VideoFrames, read_header, require_frames
from components.formats.mapping import StreamRule
from components.formats.source import Recording

_TIMESTAMP = "timestamp"
_SUCCESS = "next.success"
_BOOKS = (_TIMESTAMP, SENSOR_TIME, "frame_index", "episode_index", "task_index", _SUCCESS)


@dataclass
class _Part:
    """What the steps of reading one episode share. `notes` become `Episode.extra`."""

    recording: Recording
    info: Info
    entry: Entry
    where: str
    place: str
    rows: Rows
    pictures: frozenset[str]
    columns: dict[str, Numbers]
    notes: dict[str, str] = field(default_factory=dict)
    cameras: Mapping[str, Camera] = field(default_factory=dict)

    def numbers(self, name: str) -> Numbers | None:
        """A column with one number a row, [N]. Raises `EpisodeError` (wrong_type, wrong_shape)."""
        values = self.columns.get(name)
        if values is None:
            return None
        if values.dtype.kind not in "biuf":
            raise EpisodeError(f"column {name!r} holds no numbers", where=self.where, code="wrong_type")
        if values.size != len(self.rows):
            found = list(values.shape)
            raise EpisodeError(f"column {name!r} is {found}, expected [N]", where=self.where, code="wrong_shape")
        return values.reshape(-1)


def read_episode(recording: Recording, part: str, info: Info, entry: Entry, tasks: Mapping[int, str]) -> Episode:
    """Raises `FormatError` or `EpisodeError` where a table or a video is damaged or they contradict each other."""
    open_part = _open(recording, part, info, entry)
    _require_whole(open_part)
    row = own.own_row(recording.path, entry.index, where=recording.uri)
    carried = own.carried_id(row, open_part.columns)
    if row.get("episode_id") and not carried:
        open_part.notes["identity"] = "carried id dropped: frames changed"
    depth = depth_cameras(recording.path, entry.index, info.fps, where=recording.uri)
    open_part.cameras = {**entry.cameras, **depth}
    streams = _streams(open_part)
    words = _words(open_part, tasks)
    return build_episode(
        streams,
        open_part.notes | words | _outcome(open_part) | {k: v for k, v in own.metadata(row).items() if v},
        recording.mapping,
        source_uri=open_part.where,
        source_sha256=recording.sha256,
        source_format=recording.format,
        calibration=own.calibration(recording.path, row, where=recording.uri),
        carried_id=carried,
    )


def _open(recording: Recording, part: str, info: Info, entry: Entry) -> _Part:
    root, place = recording.path, f"{recording.uri}/{entry.data}"
    if own.is_own(root):
        own.require_unchanged(root, entry.data, where=recording.uri)
    where = recording.uri_of(part)
    rows = rows_of(root, info, entry, where=place)
    with opened(root / entry.data, where=place) as file:
        schema = {field.name: field.type for field in file.schema_arrow}
    numeric = {name for name, type_ in schema.items() if is_numeric(type_)}
    wanted = {rule.source for rule in recording.mapping.streams.values() if not is_picture(rule)}
    wanted |= {rule.time for rule in recording.mapping.streams.values()} | {recording.mapping.time, *_BOOKS}
    wanted |= {
        name
        for name in (recording.mapping.instruction, recording.mapping.task)
        if name in schema and is_text(schema[name])
    }
    if own.is_own(root):
        wanted |= numeric
    columns = read_columns(rows, sorted(wanted & schema.keys()), where=place) if len(rows) else {}
    notes = {"robot_type": info.robot_type}
    pictures = frozenset(name for name, type_ in schema.items() if is_inline_picture(type_))
    return _Part(recording, info, entry, where, place, rows, pictures, columns, notes)


def _require_whole(part: _Part) -> None:
    """Raises `EpisodeError` (length_mismatch, bad_index) where the rows are not those of one whole episode."""
    found, promised = len(part.rows), part.entry.length
    if found == 0 or (promised is not None and promised != found):
        raise EpisodeError(
            f"{part.entry.data} has {found} rows of it, the metadata promise {promised}",
            where=part.where,
            hint="Copy the tree again",
            code="length_mismatch",
        )
    episodes = part.numbers("episode_index")
    if episodes is not None and len(np.unique(episodes)) != 1:
        raise EpisodeError(f"{part.entry.data} holds rows of several episodes", where=part.where, code="bad_index")
    if episodes is not None and episodes[0] != part.entry.index:
        part.notes["episode_index"] = f"{episodes[0]:g} in the table"
    frames = part.numbers("frame_index")
    if frames is not None and (np.diff(frames.astype(np.float64)) != 1).any():
        raise EpisodeError(
            "frame_index does not count up by one",
            where=part.where,
            hint="Rows are lost or out of order, so the frames of the videos cannot be told apart",
            code="bad_index",
        )


def _streams(part: _Part) -> dict[str, Stream]:
    streams = {}
    lacking = []
    for name, rule in part.recording.mapping.streams.items():
        stream = _picture(part, name, rule) if is_picture(rule) else _numeric(part, name, rule)
        if stream is None:
            lacking.append(name)
        else:
            streams[name] = stream
    if lacking:
        part.notes["left_out"] = ", ".join(sorted(lacking))
    return streams


def _numeric(part: _Part, name: str, rule: StreamRule) -> Stream | None:
    values = part.columns.get(rule.source)
    if values is None:
        return None
    return numeric_stream(name, _resolved(part, rule, values), _times(part, rule), values, where=part.where)


def _resolved(part: _Part, rule: StreamRule, values: Numbers) -> StreamRule:
    """Names in `select` as columns, by the names that info.json gives the feature."""
    wanted = [name for name in rule.select if isinstance(name, str)]
    if not wanted:
        return rule
    names = fitting_names(part.info, rule.source, values.shape[1] if values.ndim == 2 else 1)
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise EpisodeError(
            f"{rule.source!r} has no {', '.join(unknown)}; there are {', '.join(names) or 'no names'}",
            where=part.where,
            code="missing_stream",
        )
    columns = tuple(names.index(name) if isinstance(name, str) else name for name in rule.select)
    return rule.model_copy(update={"select": columns})


def _times(part: _Part, rule: StreamRule) -> Times:
    """The sensor's clock where the tree kept it, else LeRobot's timestamp, else the rate."""
    mapping = part.recording.mapping
    for name in (rule.time, mapping.time, SENSOR_TIME, _TIMESTAMP):
        if name and name in part.columns:
            return times_from_seconds(part.columns[name], name, where=part.where)
    part.notes["clock"] = "assumed"
    return assumed_times(len(part.rows), mapping, default_hz=part.info.fps)


def _picture(part: _Part, name: str, rule: StreamRule) -> Stream | None:
    times, count = _times(part, rule), len(part.rows)
    if rule.source in part.pictures:
        frames = InlinePictures(part.rows, rule.source, where=f"{part.where} ({rule.source})")
        return picture_stream(name, rule, times, frames, where=part.where)
    camera, feature = part.cameras.get(rule.source), part.info.features.get(rule.source)
    if camera is None or not camera.found or (feature is not None and feature.is_depth):
        return None
    root, where = part.recording.path, f"{part.where} ({camera.path})"
    if own.is_own(root):
        own.require_unchanged(root, camera.path, where=part.recording.uri)
    header = read_header(root / camera.path, where=where)
    require_frames(header, camera.clip, count, part.info.fps, where=where)
    if camera.clip.end_s is None and header.frames > count:
        part.notes[f"unused_frames_{name}"] = str(header.frames - count)
    video = VideoFrames(root / camera.path, camera.clip, count, part.info.fps, where=where, depth=rule.kind == "depth")
    return picture_stream(name, rule, times, video, where=part.where)


def _words(part: _Part, tasks: Mapping[int, str]) -> dict[str, str]:
    """What the robot was told: a text column that the mapping names, else the task of the rows or of the metadata."""
    mapping = part.recording.mapping
    told = {}
    for key, name in (("instruction", mapping.instruction), ("task", mapping.task)):
        values = part.columns.get(name) if name else None
        if values is not None and values.dtype == object and values[0].strip():
            told[key] = values[0]
    indices = part.numbers("task_index")
    of_rows = [] if indices is None else [tasks.get(int(i), "") for i in _in_order(indices) if np.isfinite(i)]
    found = [words for words in of_rows if words] or [words for words in part.entry.tasks if words]
    if len(found) > 1:
        part.notes["instructions"] = "; ".join(found[:10])
    if found and part.entry.tasks and found[0] not in part.entry.tasks:
        part.notes["task_of_metadata"] = part.entry.tasks[0]
    words = told.get("instruction") or next(iter(found), "")
    return {"instruction": words, "task": told.get("task") or words}


def _in_order(values: Numbers) -> Numbers:
    """Distinct values in the order of their first row."""
    _, first = np.unique(values, return_index=True)
    return values[np.sort(first)][:16]


def _outcome(part: _Part) -> dict[str, str]:
    """LeRobot marks the step in which a task succeeds."""
    success = part.numbers(_SUCCESS)
    return {} if success is None else {"outcome": "success" if (success == 1).any() else "failure"}
