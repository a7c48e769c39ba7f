"""One episode on the ticks of the dataset: what ingest hands to the writer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.errors import DatasetError
from components.core.files import digest_json

Pictures = Sequence[npt.NDArray[Any]] | npt.NDArray[Any]

# Columns of `EpisodeFrames.row`, in the order in which episodes.parquet keeps them. All are strings; empty means that
# the recording does not say. The split is not among them: it depends on the other episodes and is set last.
ROW_COLUMNS = (
    "source_uri",
    "source_sha256",
    "source_format",
    "robot_id",
    "embodiment",
    "calibration_digest",
    "collector_id",
    "site",
    "scene",
    "recorded_at",
    "licence",
    "consent_ref",
    "outcome",
)
SPLITS = ("train", "val")

# Keys of each of `EpisodeFrames.streams`. `jitter` is std(dt) / median(dt); `gaps` counts the steps above three times
# the median; `worst_misalignment_ms` is None for a stream that no column was made of.
STREAM_COLUMNS = (
    "stream",
    "kind",
    "count",
    "rate_hz",
    "duration_s",
    "start_offset_s",
    "backwards",
    "duplicates",
    "jitter",
    "max_gap_s",
    "gaps",
    "nan_count",
    "worst_misalignment_ms",
)


@dataclass(frozen=True, eq=False)
class EpisodeFrames:
    """T ticks of one episode.

    `images`: camera -> T pictures uint8 [H, W, 3] RGB; `depth`: depth camera -> T pictures uint16 [H, W] in
    millimetres. Each is an array or any sequence, also one that makes a picture when it is asked for: it is gone
    through once, front to back. `state`, `action`: float32 [T, S] and [T, A]; `time_s`: float64 [T], sensor time since
    the start of the episode; `extras`: feature key ("observation.joints") -> numbers [T, D]; `row`: the provenance
    columns (`ROW_COLUMNS`); `streams`: rows of meta/gripline/streams without the episode_id; `calibration`: plain JSON,
    empty where there is none, else `digest_json` of it is `row["calibration_digest"]`.
    Raises `DatasetError` where a shape, a type or a column is not as said here; pictures are looked at by `prepare`.
    """

    episode_id: str
    task: str
    instruction: str
    images: Mapping[str, Pictures]
    state: npt.NDArray[np.float32]
    action: npt.NDArray[np.float32]
    time_s: npt.NDArray[np.float64]
    row: dict[str, str]
    extras: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    streams: list[dict[str, Any]] = field(default_factory=list)
    depth: Mapping[str, Pictures] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.time_s.ndim != 1 or self.time_s.dtype != np.float64 or not len(self.time_s):
            raise self._error(f"time_s is {_shape(self.time_s)}, expected a non-empty float64 [T]")
        for name, values, dtype in (("state", self.state, np.float32), ("action", self.action, np.float32)):
            if values.ndim != 2 or values.dtype != dtype or len(values) != len(self):
                raise self._error(f"{name} is {_shape(values)}, expected {np.dtype(dtype)} [{len(self)}, D]")
        for name, values in self.extras.items():
            if values.ndim != 2 or len(values) != len(self) or values.dtype.kind not in "fiu":
                raise self._error(f"{name} is {_shape(values)}, expected numbers [{len(self)}, D]")
        for camera, pictures in [*self.images.items(), *self.depth.items()]:
            if len(pictures) != len(self):
                raise self._error(f"camera {camera!r} has {len(pictures)} pictures, expected {len(self)}")
        self._require_names("row", self.row, ROW_COLUMNS)
        for stream in self.streams:
            self._require_names("stream", stream, STREAM_COLUMNS)
        if self.calibration and digest_json(self.calibration) != self.row["calibration_digest"]:
            raise self._error("calibration_digest is not the digest of the calibration")

    def __len__(self) -> int:
        return len(self.time_s)

    @property
    def where(self) -> str:
        """What an error about this episode names."""
        return self.row.get("source_uri") or self.episode_id

    def _require_names(self, what: str, found: Mapping[str, Any], expected: tuple[str, ...]) -> None:
        wrong = set(found) ^ set(expected)
        if wrong:
            raise self._error(f"{what} columns missing or unknown: {', '.join(sorted(wrong))}")

    def _error(self, message: str) -> DatasetError:
        return DatasetError(message, where=self.where)


def _shape(values: npt.NDArray[Any]) -> str:
    return f"{values.dtype} {list(values.shape)}"
