"""MCAP with ROS 2 messages: one file an episode, each message stamped with the sensor time of its tick.

A column is a topic of JointState whose positions are its numbers, a camera a topic of CompressedImage. Markers on
`/episode` say where the episode begins and ends, for whoever joins files. Stamps count from `recorded_at` where that is
known, else from 0.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.convert.mcap_messages import IMAGE, JOINTS, STRING, Messages, header_of
from components.convert.options import Done, Options
from components.convert.outgoing import Outgoing, outgoing
from components.convert.pictures import Coding, encoded
from components.convert.plan import Column, Group, Names, Plan
from components.core.episode import CONTROL_SOURCES
from components.core.errors import DatasetError
from components.formats.carried import CALIBRATION, CHECKSUM, EPISODE_ID, KEY, checksum
from components.formats.mcap.own import Seal

_CONTROL = "control_source"
_INSTRUCTION, _MARKER = "/instruction", "/episode"
# compressed_depth_image_transport: its format and two quantisation constants stand before the PNG.
_DEPTH_FORMAT, _DEPTH_HEAD = "16UC1; compressedDepth png", struct.pack("<iff", 0, 0.0, 0.0)
# `sec` of a ROS 2 time is an int32.
_MOST_NS = (1 << 31) * 1_000_000_000
# Up to here a float64 holds every whole number.
_WHOLE = 2**53


def _topic(name: str) -> str:
    return "/" + re.sub(r"[^A-Za-z0-9_/]", "_", name.replace(".", "/"))


NAMES = Names(
    "mcap",
    column=_topic,
    image=lambda camera: f"{_topic(f'camera/{camera}')}/compressed",
    depth=lambda camera: f"{_topic(f'camera/{camera}')}/compressedDepth",
    instruction=_INSTRUCTION,
    select_names=True,
    reserved=(_INSTRUCTION, _MARKER),
)


def write(folder: Path, group: Group, options: Options, done: Done) -> list[Path]:
    """A file an episode, numbered in their order. Raises `DatasetError` for what a message cannot hold."""
    files = []
    for number, (dataset, index) in enumerate(group.items):
        path = folder / f"episode_{number:06d}.mcap"
        episode = outgoing(dataset, index, group.plan)
        _write_file(path, group.plan, episode, options.pictures)
        files.append(path)
        done(len(episode))
    return files


@dataclass(frozen=True)
class _Track:
    """A topic. `body`: from a tick and its header to the fields of its message."""

    topic: str
    kind: str
    body: Callable[[int, dict[str, Any]], dict[str, Any]]


def _write_file(path: Path, plan: Plan, episode: Outgoing, coding: Coding) -> None:
    stamps = _stamps(episode)
    tracks = [_column_track(column, episode) for column in plan.columns]
    tracks += [_image_track(topic, frames, coding) for topic, frames in episode.images.items()]
    tracks += [_depth_track(topic, frames) for topic, frames in episode.depth.items()]
    covered = [*(column.source for column in plan.columns), *plan.cameras.values(), *plan.depth.values()]
    seal = Seal(frozenset(covered))
    with path.open("wb") as stream:
        writer = Messages(stream)
        writer.say(_INSTRUCTION, int(stamps[0]), episode.words["instruction"])
        writer.say(_MARKER, int(stamps[0]), _start(episode))
        for tick, stamp in enumerate(stamps.tolist()):
            for track in tracks:
                data = writer.add(track.topic, track.kind, stamp, tick, track.body(tick, header_of(stamp)))
                seal.add(track.topic, stamp, data, picture=track.kind == IMAGE)
        # A tick lasts until the next, so the end is behind the last message.
        writer.say(_MARKER, int(stamps[-1]) + round(1e9 / plan.fps), _stop(episode), number=1)
        mark = checksum(episode.episode_id, episode.words, seal.columns())
        own = {KEY: plan.carried(covered), EPISODE_ID: episode.episode_id, CHECKSUM: mark}
        writer.finish(episode.words | episode.notes, own | {CALIBRATION: episode.calibration})


def _stamps(episode: Outgoing) -> npt.NDArray[np.int64]:
    """int64 [T] ns. Raises `DatasetError` where the clock of the episode steps back."""
    elapsed = np.rint(episode.time_s * 1e9).astype(np.int64)
    if (np.diff(elapsed) < 0).any() or elapsed[0] < 0:
        raise DatasetError(
            "its sensor time runs backwards, and MCAP orders messages by time",
            where=episode.where,
            hint="Convert it to hdf5 or rlds",
        )
    start = _epoch_ns(episode.words["recorded_at"])
    return elapsed + (start if 0 <= start < _MOST_NS - int(elapsed[-1]) else 0)


def _epoch_ns(recorded_at: str) -> int:
    try:
        when = datetime.fromisoformat(recorded_at)
    except ValueError:
        return 0
    since = when.replace(tzinfo=when.tzinfo or UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(microseconds=1) * 1000


def _column_track(column: Column, episode: Outgoing) -> _Track:
    values = episode.columns[column.source]
    if column.key == _CONTROL:
        return _Track(column.source, STRING, lambda tick, _: {"data": _who(values[tick], episode)})
    if values.dtype.kind in "iu" and not ((values <= _WHOLE) & (values >= -_WHOLE)).all():
        raise DatasetError(
            f"{column.key} holds whole numbers above 2^53, which a message of float64 cannot",
            where=episode.where,
            hint="Convert it to hdf5 or rlds",
        )
    names, numbers = list(column.names), values.astype(np.float64)

    def body(tick: int, header: dict[str, Any]) -> dict[str, Any]:
        return {"header": header, "name": names, "position": numbers[tick].tolist(), "velocity": [], "effort": []}

    return _Track(column.source, JOINTS, body)


def _who(value: npt.NDArray[Any], episode: Outgoing) -> str:
    if len(value) != 1 or not 0 <= int(value[0]) < len(CONTROL_SOURCES):
        known = ", ".join(CONTROL_SOURCES)
        raise DatasetError(f"{_CONTROL} is {value.tolist()}, expected an index into {known}", where=episode.where)
    return CONTROL_SOURCES[int(value[0])]


def _image_track(topic: str, frames: Any, coding: Coding) -> _Track:
    def body(tick: int, header: dict[str, Any]) -> dict[str, Any]:
        return {"header": header, "format": coding, "data": encoded(frames[tick], coding)}

    return _Track(topic, IMAGE, body)


def _depth_track(topic: str, frames: Any) -> _Track:
    def body(tick: int, header: dict[str, Any]) -> dict[str, Any]:
        return {"header": header, "format": _DEPTH_FORMAT, "data": _DEPTH_HEAD + encoded(frames[tick], "png")}

    return _Track(topic, IMAGE, body)


def _start(episode: Outgoing) -> str:
    return json.dumps({"event": "start", "task": episode.words["task"], "instruction": episode.words["instruction"]})


def _stop(episode: Outgoing) -> str:
    return json.dumps({"event": "stop", "outcome": episode.words["outcome"]})
