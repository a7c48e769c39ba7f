"""The episode: what every reader yields and everything after it consumes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from components.core.errors import EpisodeError

StreamKind = Literal["image", "state", "action", "force"]


@dataclass(frozen=True)
class Stream:
    """One sensor's samples on its own clock.

    `time_ns`: int64 [N], sensor time as recorded (any origin, the same for all streams of an episode).
    `values`: float64 [N, D] for numeric streams, or a sequence of N frames for images: uint8 [H, W, 3] RGB arrays,
    or the encoded JPEG/PNG bytes, which `image()` decodes when they are needed.
    """

    name: str
    kind: StreamKind
    time_ns: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64] | Sequence[npt.NDArray[np.uint8] | bytes]
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.time_ns) != len(self.values):
            raise EpisodeError(
                f"stream {self.name!r} has {len(self.values)} samples but {len(self.time_ns)} timestamps",
                code="length_mismatch",
            )

    def __len__(self) -> int:
        return len(self.time_ns)

    @property
    def rate_hz(self) -> float:
        """Median rate; 0 where fewer than two samples or no time passes."""
        if len(self.time_ns) < 2:
            return 0.0
        step = float(np.median(np.diff(self.time_ns)))
        return 1e9 / step if step > 0 else 0.0


@dataclass(frozen=True)
class Provenance:
    """Where an episode came from. Empty strings mean: the file does not say."""

    source_uri: str
    source_sha256: str
    source_format: str
    robot_id: str = ""
    collector_id: str = ""
    site: str = ""
    recorded_at: str = ""
    licence: str = ""
    consent_ref: str = ""
    calibration_digest: str = ""
    outcome: str = "unknown"


@dataclass(frozen=True)
class Episode:
    """One attempt at a task.

    `task`: short name of the task ("drawer-open"); `instruction`: what the robot was told, in words.
    """

    task: str
    instruction: str
    embodiment: str
    streams: dict[str, Stream]
    provenance: Provenance
    rate_hz: float
    extra: dict[str, str] = field(default_factory=dict)

    def of_kind(self, kind: StreamKind) -> list[Stream]:
        return [self.streams[name] for name in sorted(self.streams) if self.streams[name].kind == kind]

    def stream(self, name: str) -> Stream:
        if name not in self.streams:
            raise EpisodeError(
                f"no stream {name!r}; there are {', '.join(sorted(self.streams)) or 'none'}",
                where=self.provenance.source_uri,
                code="missing_stream",
            )
        return self.streams[name]

    def with_provenance(self, **changes: str) -> Episode:
        return replace(self, provenance=replace(self.provenance, **changes))


def episode_id(episode: Episode) -> str:
    """sha256 over what the robot lived through, not over the container it was stored in.

    Covers task, instruction, embodiment, robot, every non-image stream with its sensor times, and the timestamps of
    the cameras. Times count from the first sample of the episode and values as little-endian float64, so the same
    recording in HDF5 and in MCAP gets one id.
    """
    digest = hashlib.sha256()
    start = min((int(s.time_ns[0]) for s in episode.streams.values() if len(s)), default=0)
    head = [episode.task, episode.instruction, episode.embodiment, episode.provenance.robot_id]
    digest.update(json.dumps(head, ensure_ascii=False).encode())
    for name in sorted(episode.streams):
        stream = episode.streams[name]
        digest.update(f"\0{name}\0{stream.kind}\0{len(stream)}\0".encode())
        digest.update((stream.time_ns - start).astype("<i8").tobytes())
        if stream.kind != "image":
            digest.update(np.ascontiguousarray(stream.values, dtype="<f8").tobytes())
    return digest.hexdigest()
