"""One episode ready to be written: encoded, hashed and measured. Small enough for a pipe or a spool on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.core.errors import DatasetError
from components.dataset.columns import stats_as_json, stats_from_json
from components.dataset.sketch import Sketch
from components.dataset.stats import FeatureStats

_MAGIC = b"gripline-episode-2\n"
_DIGEST_BYTES = 32
_SCHEMA = pa.schema([("name", pa.string()), ("data", pa.large_binary())])
_WORDS = ("episode_id", "pixel_sha256", "frames_sha256", "task", "instruction", "fps", "video", "row", "streams")


@dataclass(frozen=True, eq=False)
class PreparedEpisode:
    """What `prepare` made of an `EpisodeFrames`; all that the writer needs of T ticks.

    `columns`: feature key -> state, action and extras [T, D], "observation.time" [T]; `videos`: camera -> mp4 of T
    frames; `depth`: depth camera -> lossless mp4 of T frames; `stats`, `sketches`: feature key -> statistics and their
    sketch, cameras included, without the columns that depend on the place in the dataset; `fps`, `video`: what the
    videos were encoded with.
    """

    episode_id: str
    pixel_sha256: str
    frames_sha256: str
    task: str
    instruction: str
    fps: int
    video: dict[str, Any]
    row: dict[str, str]
    streams: list[dict[str, Any]]
    columns: dict[str, npt.NDArray[Any]]
    videos: dict[str, bytes]
    depth: dict[str, bytes]
    stats: dict[str, FeatureStats]
    sketches: dict[str, Sketch]
    calibration: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @property
    def length(self) -> int:
        return len(self)

    @property
    def where(self) -> str:
        """What an error about this episode names."""
        return self.row.get("source_uri") or self.episode_id

    def to_bytes(self) -> bytes:
        """The same episode gives the same bytes; they carry a sha256 of their own."""
        head = {name: getattr(self, name) for name in _WORDS}
        head["calibration"] = self.calibration
        head["stats"] = stats_as_json(self.stats)
        head["sketches"] = {key: sketch.as_dict() for key, sketch in self.sketches.items()}
        columns = {name: np.ascontiguousarray(self.columns[name]) for name in sorted(self.columns)}
        head["columns"] = {name: [values.dtype.str, list(values.shape)] for name, values in columns.items()}
        parts: dict[str, bytes] = {f"columns/{name}": values.tobytes() for name, values in columns.items()}
        parts |= {f"videos/{camera}": self.videos[camera] for camera in sorted(self.videos)}
        parts |= {f"depth/{camera}": self.depth[camera] for camera in sorted(self.depth)}
        schema = _SCHEMA.with_metadata({"episode": json.dumps(head, sort_keys=True, ensure_ascii=False)})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, schema) as stream:
            stream.write_table(pa.table([list(parts), list(parts.values())], schema=schema))
        body = sink.getvalue()
        return b"".join([_MAGIC, hashlib.sha256(body).digest(), body])

    @classmethod
    def from_bytes(cls, data: bytes) -> PreparedEpisode:
        """Inverse of `to_bytes`. Raises `DatasetError` where bytes are missing or were changed."""
        view = memoryview(data)
        start = len(_MAGIC) + _DIGEST_BYTES
        body = view[start:]
        if view[: len(_MAGIC)] != _MAGIC or hashlib.sha256(body).digest() != view[len(_MAGIC) : start]:
            raise DatasetError(f"{len(data)} bytes that are not a whole prepared episode", hint="Prepare it again")
        with pa.ipc.open_stream(pa.py_buffer(body)) as stream:
            table = stream.read_all()
        head = json.loads(table.schema.metadata[b"episode"])
        parts = dict(zip(table["name"].to_pylist(), table["data"].to_pylist(), strict=True))
        columns = {
            name: np.frombuffer(parts[f"columns/{name}"], dtype).reshape(shape)
            for name, (dtype, shape) in head["columns"].items()
        }
        return cls(
            **{name: head[name] for name in _WORDS},
            columns=columns,
            videos=_below("videos/", parts),
            depth=_below("depth/", parts),
            stats=stats_from_json(head["stats"]),
            sketches={key: Sketch.from_dict(value) for key, value in head["sketches"].items()},
            calibration=head["calibration"],
        )


def _below(prefix: str, parts: Mapping[str, bytes]) -> dict[str, bytes]:
    return {name.removeprefix(prefix): data for name, data in parts.items() if name.startswith(prefix)}
