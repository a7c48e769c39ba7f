"""One episode on the ticks of the dataset: what ingest hands to the writer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.errors import DatasetError
from components.core.files import canonical_json

# Columns of `EpisodeFrames.row`, in the order in which episodes.parquet keeps them. All are strings; empty means that
# the recording does not say.
ROW_COLUMNS = (
    "source_uri",
    "source_sha256",
    "source_format",
    "robot_id",
    "embodiment",
    "calibration_digest",
    "collector_id",
    "site",
    "recorded_at",
    "licence",
    "consent_ref",
    "outcome",
    "split",
)
SPLITS = ("train", "val")

# Keys of each of `EpisodeFrames.streams`. `jitter` is std(dt) / median(dt); `worst_misalignment_ms` is None for a
# stream that no column was made of.
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
    "nan_count",
    "worst_misalignment_ms",
)


@dataclass(frozen=True)
class EpisodeFrames:
    """T ticks of one episode.

    `images`: camera -> uint8 [T, H, W, 3] RGB; `state`, `action`: float32 [T, S] and [T, A]; `time_s`: float64 [T],
    sensor time since the start of the episode; `extras`: feature key ("observation.joints") -> [T, D];
    `row`: the provenance columns (`ROW_COLUMNS`); `streams`: rows of streams.parquet without the episode_id.
    Raises `DatasetError` where a shape, a type or a column is not as said here.
    """

    episode_id: str
    pixel_sha256: str
    task: str
    instruction: str
    images: dict[str, npt.NDArray[np.uint8]]
    state: npt.NDArray[np.float32]
    action: npt.NDArray[np.float32]
    time_s: npt.NDArray[np.float64]
    row: dict[str, str]
    extras: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    streams: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.time_s.ndim != 1 or self.time_s.dtype != np.float64 or not len(self.time_s):
            raise self._error(f"time_s is {_shape(self.time_s)}, expected a non-empty float64 [T]")
        for name, values, dtype in (("state", self.state, np.float32), ("action", self.action, np.float32)):
            if values.ndim != 2 or values.dtype != dtype or len(values) != len(self):
                raise self._error(f"{name} is {_shape(values)}, expected {np.dtype(dtype)} [{len(self)}, D]")
        for name, values in self.extras.items():
            if values.ndim != 2 or len(values) != len(self) or values.dtype.kind not in "fiu":
                raise self._error(f"{name} is {_shape(values)}, expected numbers [{len(self)}, D]")
        for camera, frames in self.images.items():
            if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or len(frames) != len(self):
                raise self._error(f"camera {camera!r} is {_shape(frames)}, expected uint8 [{len(self)}, H, W, 3]")
        wrong = set(self.row) ^ set(ROW_COLUMNS)
        if wrong:
            raise self._error(f"row columns missing or unknown: {', '.join(sorted(wrong))}")
        for stream in self.streams:
            if set(stream) != set(STREAM_COLUMNS):
                wrong = set(stream) ^ set(STREAM_COLUMNS)
                raise self._error(f"stream columns missing or unknown: {', '.join(sorted(wrong))}")
        if self.row["split"] not in SPLITS:
            raise self._error(f"split is {self.row['split']!r}, expected one of {', '.join(SPLITS)}")

    def __len__(self) -> int:
        return len(self.time_s)

    @cached_property
    def frames_sha256(self) -> str:
        """sha256 over words, split and every numeric column; the pixels have `pixel_sha256`."""
        digest = hashlib.sha256(canonical_json([self.task, self.instruction, self.row["split"]]).encode())
        columns = {"action": self.action, "observation.state": self.state, "observation.time": self.time_s}
        columns.update(self.extras)
        for name in sorted(columns):
            values = np.ascontiguousarray(columns[name])
            values = values.astype(values.dtype.newbyteorder("<"), copy=False)
            digest.update(f"\0{name}\0{values.dtype.str}\0{values.shape}\0".encode())
            digest.update(values.tobytes())
        return digest.hexdigest()

    def _error(self, message: str) -> DatasetError:
        return DatasetError(message, where=self.row.get("source_uri") or self.episode_id)


def _shape(values: npt.NDArray[Any]) -> str:
    return f"{values.dtype} {list(values.shape)}"
