"""The episode: what every reader yields and everything after it consumes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from components.core.errors import EpisodeError

StreamKind = Literal["image", "depth", "state", "action", "force", "control"]
# Kinds whose samples are pictures; the others are rows of numbers.
PICTURES: tuple[StreamKind, ...] = ("image", "depth")

# A sample of a "control" stream is the index of who moved the robot.
CONTROL_SOURCES = ("policy", "human", "blend", "reset")


@dataclass(frozen=True)
class Form:
    """How the numbers of a stream are to be understood, where the recording or its mapping says; "" is unsaid.

    `units`: unit of every dimension; `rotation`, `representation`: see `core.spec`; `gripper`: the values of a gripper
    that is wholly open and wholly closed.
    """

    units: str = ""
    rotation: str = ""
    representation: str = ""
    gripper: tuple[float, float] | None = None


@dataclass(frozen=True)
class Stream:
    """One sensor's samples on its own clock.

    `time_ns`: int64 [N], sensor time as recorded (any origin, the same for all streams of an episode).
    `values`: float64 [N, D] for numeric streams. For pictures a sequence of N frames that may be lazy (a frame is read
    from its file when it is indexed, best front to back): images are uint8 [H, W, 3] RGB arrays or encoded JPEG/PNG
    bytes, depth is uint16 [H, W] millimetres or encoded 16-bit PNG bytes; `formats.images` decodes them.
    """

    name: str
    kind: StreamKind
    time_ns: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64] | Sequence[npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | bytes]
    names: tuple[str, ...] = ()
    form: Form = Form()

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
    scene: str = ""
    recorded_at: str = ""
    licence: str = ""
    consent_ref: str = ""
    calibration_digest: str = ""
    outcome: str = "unknown"


@dataclass(frozen=True)
class Episode:
    """One attempt at a task.

    `task`: short name of the task ("drawer-open"); `instruction`: what the robot was told, in words. `rate_hz`: of the
    actions, 0 where unknown; `extra`: what the file says and no field is for; `extra["clock"]` is "assumed" where the
    format has no timestamps and they were made from a rate. `calibration`: camera intrinsics, extrinsics and static
    transforms as plain JSON. `carried_id`: the id that a converted file brought along, where its checksum matched.
    """

    task: str
    instruction: str
    embodiment: str
    streams: dict[str, Stream]
    provenance: Provenance
    rate_hz: float
    extra: dict[str, str] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)
    carried_id: str = ""

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

    Covers task, instruction, embodiment, robot, every numeric stream with its sensor times, and the timestamps of
    the cameras. Times count from the first sample of the episode and values as little-endian float64, so the same
    recording in HDF5 and in MCAP gets one id. A converted file keeps the id that it carries.
    """
    if episode.carried_id:
        return episode.carried_id
    digest = hashlib.sha256()
    start = min((int(s.time_ns[0]) for s in episode.streams.values() if len(s)), default=0)
    head = [episode.task, episode.instruction, episode.embodiment, episode.provenance.robot_id]
    digest.update(json.dumps(head, ensure_ascii=False).encode())
    for name in sorted(episode.streams):
        stream = episode.streams[name]
        digest.update(f"\0{name}\0{stream.kind}\0{len(stream)}\0".encode())
        digest.update((stream.time_ns - start).astype("<i8").tobytes())
        if stream.kind not in PICTURES:
            digest.update(np.ascontiguousarray(stream.values, dtype="<f8").tobytes())
    return digest.hexdigest()
