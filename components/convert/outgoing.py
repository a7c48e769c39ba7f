"""One episode on its way out of a dataset: numbers and words in memory, pictures decoded as they are taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.convert.plan import Plan
from components.core.errors import DatasetError
from components.core.files import canonical_json
from components.core.frames_digest import frames_sha256
from components.dataset.calibrations import read_calibration
from components.dataset.layout import AUTO_FEATURES, TIME
from components.dataset.reader import Dataset
from components.formats.assemble import MAX_SECONDS
from components.formats.lerobot.video import Clip, VideoFrames
from components.formats.mapping import CONSTANT_KEYS

_ORIGIN = ("source_uri", "source_sha256", "source_format")
_ROW = ("episode_id", "frames_sha256", "split", *CONSTANT_KEYS, *_ORIGIN)


@dataclass(frozen=True, eq=False)
class Outgoing:
    """T ticks. `words`: every key of `CONSTANT_KEYS`, "" where nothing is known; `notes`: what else is known of it.

    `columns`: name in the file -> [T, D] as the dataset has it; `images`, `depth`: name in the file -> T pictures,
    uint8 [H, W, 3] and uint16 [H, W] in millimetres, made one after the other; `calibration`: JSON, "" where there is
    none.
    """

    episode_id: str
    words: dict[str, str]
    notes: dict[str, str]
    calibration: str
    time_s: npt.NDArray[np.float64]
    columns: dict[str, npt.NDArray[Any]]
    images: dict[str, Sequence[npt.NDArray[Any]]]
    depth: dict[str, Sequence[npt.NDArray[Any]]]
    where: str

    def __len__(self) -> int:
        return len(self.time_s)

    @property
    def succeeded(self) -> bool:
        """Unknown is no success."""
        return self.words["outcome"] == "success"


def outgoing(dataset: Dataset, number: int, plan: Plan) -> Outgoing:
    """The episode of this number. Raises `DatasetError` where its numbers are not those that were written."""
    known = dataset.row(number)
    row = {name: known[name] or "" for name in _ROW}
    where = f"{dataset.root} episode {number} ({row['episode_id'][:12]})"
    frames = {name: values for name, values in dataset.frames(number).items() if name not in AUTO_FEATURES}
    if frames_sha256(frames, [row["task"], row["instruction"]]) != row["frames_sha256"]:
        raise DatasetError(
            "its numbers or words differ from the checksum that they were written with",
            where=where,
            hint="Restore the tree (dvc checkout) or run ingest again",
        )
    time_s = frames[TIME]
    if not (np.abs(time_s) < MAX_SECONDS).all():
        raise DatasetError("its sensor times are no times", where=where, hint="Leave it out with --episode")
    calibration = read_calibration(dataset.root, row["calibration_digest"])
    return Outgoing(
        episode_id=row["episode_id"],
        words={name: row[name] for name in CONSTANT_KEYS},
        notes={f"original_{name}": row[name] for name in _ORIGIN}
        | {"original_dataset": dataset.digest, "split": row["split"]},
        calibration=canonical_json(calibration) if calibration else "",
        time_s=time_s,
        columns={column.source: frames[column.key] for column in plan.columns},
        images={
            source: _frames(*dataset.video_place(number, camera), dataset.fps, where)
            for camera, source in plan.cameras.items()
        },
        depth={
            plan.depth[camera]: _frames(*dataset.depth_place(number, camera), dataset.fps, where, depth=True)
            for camera in dataset.depth_cameras(number)
        },
        where=where,
    )


def _frames(path: Path, first: int, count: int, fps: int, where: str, *, depth: bool = False) -> VideoFrames:
    clip = Clip(first / fps, (first + count - 0.5) / fps)
    return VideoFrames(path, clip, count, fps, where=f"{where} ({path.name})", depth=depth)
