"""What a file or folder holds, what it lacks, and what is wrong with it; for people and for `--json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import h5py
import numpy as np

from components.core.episode import Episode, Stream
from components.core.errors import EpisodeError, FormatError, InputError
from components.formats import hdf5, mcap
from components.formats.images import decode_image
from components.formats.mapping import HDF5_DATASETS, HDF5_TIME, INSTRUCTION_TOPIC, REQUIRED, TOPICS
from components.formats.registry import Recording, open_recording, read_part, recording_files, sniff, source_uri

_StreamKey = tuple[str, str, tuple[int, ...], str]


@dataclass
class Inspection:
    """Sums over everything looked at. Streams of one name but another shape or type stay apart."""

    formats: set[str] = field(default_factory=set)
    dialects: set[str] = field(default_factory=set)
    episodes: int = 0
    frames: int = 0
    counts: Counter[_StreamKey] = field(default_factory=Counter)
    rates: dict[_StreamKey, list[float]] = field(default_factory=dict)
    tasks: set[str] = field(default_factory=set)
    problems: list[dict[str, str]] = field(default_factory=list)

    def add_stream(self, key: _StreamKey, count: int, rate_hz: float) -> None:
        self.counts[key] += count
        self.rates.setdefault(key, []).append(rate_hz)

    def add_problem(self, code: str, where: str, detail: str) -> None:
        self.problems.append({"code": code, "where": where, "detail": detail})

    def as_dict(self) -> dict[str, Any]:
        streams = [
            {
                "name": name,
                "kind": kind,
                "shape": list(shape),
                "dtype": dtype,
                "rate_hz": round(median(self.rates[name, kind, shape, dtype]), 3),
                "count": self.counts[name, kind, shape, dtype],
            }
            for name, kind, shape, dtype in sorted(self.counts)
        ]
        return {
            "format": "+".join(sorted(self.formats)),
            "dialect": "+".join(sorted(self.dialects)),
            "episodes": self.episodes,
            "frames": self.frames,
            "streams": streams,
            "tasks": sorted(self.tasks),
            "problems": self.problems,
        }


def inspect_path(path: Path) -> dict[str, Any]:
    """Looks at one file, or at every file below a folder, without refusing any. Raises `InputError` where nothing is.

    Keys: format, dialect, episodes, frames (action samples), streams, tasks, problems. A stream of kind "unmapped" is
    there but is read by nobody; its `dtype` is the type of the message or dataset.
    """
    if not path.exists():
        raise InputError("no such file or folder", where=str(path))
    root = path if path.is_dir() else path.parent
    found = Inspection()
    for file in recording_files(path):
        _inspect_file(file, source_uri(file, root), found)
    return found.as_dict()


def _inspect_file(path: Path, uri: str, found: Inspection) -> None:
    try:
        found.formats.add(sniff(path, where=uri))
        recording = open_recording(path, uri=uri)
        if recording.format == "mcap":
            _inspect_mcap(recording, found)
        else:
            _inspect_hdf5(recording, found)
    except FormatError as error:
        found.add_problem(error.code, error.where or uri, error.message)


def _inspect_mcap(recording: Recording, found: Inspection) -> None:
    contents = mcap.scan(recording.path, where=recording.uri)
    found.dialects.add(contents.profile or "mcap")
    for topic in contents.topics.values():
        if topic.name not in TOPICS and topic.name != INSTRUCTION_TOPIC:
            rate_hz = _log_rate_hz(topic.log_time_ns)
            key = (topic.name, "unmapped", (), topic.type_name or topic.encoding)
            found.add_stream(key, len(topic.log_time_ns), rate_hz)
    _add_episode(mcap.episode_of(contents, uri=recording.uri, sha256=recording.sha256), found)


def _log_rate_hz(log_time_ns: list[int]) -> float:
    steps = np.diff(np.array(log_time_ns, dtype=np.float64))
    step = float(np.median(steps)) if len(steps) else 0.0
    return 1e9 / step if step > 0 else 0.0


def _inspect_hdf5(recording: Recording, found: Inspection) -> None:
    found.dialects.add(hdf5.dialect(recording.path, where=recording.uri))
    for part in recording.parts:
        where = recording.uri_of(part)
        try:
            for name, shape, dtype in _unmapped_datasets(recording.path, part, where):
                found.add_stream((name, "unmapped", shape[1:], dtype), shape[0] if shape else 1, 0.0)
            _add_episode(read_part(recording, part), found)
        except FormatError as error:
            found.add_problem(error.code, where, error.message)


def _unmapped_datasets(path: Path, part: str, where: str) -> list[tuple[str, tuple[int, ...], str]]:
    names: list[tuple[str, tuple[int, ...], str]] = []

    def visit(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset) and name not in HDF5_DATASETS and name != HDF5_TIME:
            names.append((name, tuple(node.shape or ()), str(node.dtype)))

    with hdf5.opened(path, where=where) as file:
        demo = file[f"data/{part}"]
        if isinstance(demo, h5py.Group):
            demo.visititems(visit)
    return names


def _add_episode(episode: Episode, found: Inspection) -> None:
    where = episode.provenance.source_uri
    found.episodes += 1
    found.frames += len(episode.streams["action"]) if "action" in episode.streams else 0
    if episode.task:
        found.tasks.add(episode.task)
    for stream in episode.streams.values():
        try:
            shape, dtype = _sample_of(stream, where)
        except EpisodeError as error:
            found.add_problem(error.code, where, error.message)
            continue
        found.add_stream((stream.name, stream.kind, shape, dtype), len(stream), stream.rate_hz)
    for code, detail in _lacks(episode):
        found.add_problem(code, where, detail)


def _sample_of(stream: Stream, where: str) -> tuple[tuple[int, ...], str]:
    """Shape and type of one sample; the first frame of a camera is decoded for it."""
    if stream.kind == "image":
        first = stream.values[0]
        dtype = "uint8" if isinstance(first, np.ndarray) else "jpeg/png"
        return decode_image(first, where=where).shape, dtype
    return tuple(np.asarray(stream.values).shape[1:]), "float64"


def _lacks(episode: Episode) -> Iterable[tuple[str, str]]:
    for name in REQUIRED:
        if name not in episode.streams:
            yield "missing_stream", f"no stream {name!r}"
    if not episode.task:
        yield "missing_task", "the recording does not name its task"
    if not episode.instruction.strip():
        yield "missing_instruction", "the recording does not hold an instruction"
    for stream in episode.streams.values():
        steps = np.diff(stream.time_ns)
        if (steps < 0).any():
            yield "clock_backwards", f"the clock of {stream.name!r} goes back {int((steps < 0).sum())} times"
        if stream.kind != "image" and not np.isfinite(np.asarray(stream.values)).all():
            yield "not_finite", f"stream {stream.name!r} holds NaN or infinity"
