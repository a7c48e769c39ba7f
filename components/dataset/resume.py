"""Goes on writing where a dataset ends: new files for new episodes, no old data or video file touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from components.core.errors import DatasetError
from components.core.params import Video
from components.dataset import layout
from components.dataset.columns import stats_from_row
from components.dataset.identity import fingerprint
from components.dataset.reader import Dataset
from components.dataset.totals import Totals
from components.dataset.writer import DatasetWriter


def resume(root: Path, video: Video, **limits: float) -> DatasetWriter:
    """A writer that adds to the dataset in `root`; until its `close`, the old dataset stays as it was.

    Raises `DatasetError` where `video` differs from what the dataset was written with.
    """
    dataset = Dataset.open(root)
    written = dataset.record.attrs["video"]
    if video.model_dump() != written:
        raise DatasetError(
            f"written with video settings {written}, asked for {video.model_dump()}",
            where=str(root),
            hint="Build the dataset afresh to change them",
        )
    return DatasetWriter(root, dataset.embodiment, dataset.fps, video, totals=totals_of(dataset), **limits)


def totals_of(dataset: Dataset) -> Totals:
    """Counts, tasks, identities and statistics, from metadata alone."""
    fixed = {layout.STATE, layout.ACTION, layout.TIME, *layout.AUTO_FEATURES, *layout.video_keys(dataset.features)}
    tasks = pq.read_table(dataset.root / layout.TASKS).to_pandas()
    totals = Totals(
        tasks={str(task): int(index) for task, index in tasks["task_index"].items()},
        extras={key: (f["dtype"], f["shape"][0]) for key, f in dataset.features.items() if key not in fixed},
    )
    marks = dataset.episodes.set_index("episode_index")
    for row in dataset.metadata_rows():
        own = marks.loc[row["episode_index"]]
        mark = fingerprint(own["episode_id"], own["pixel_sha256"], own["frames_sha256"])
        stats = {key: stats_from_row(row, key) for key in dataset.features}
        totals.count(own["episode_id"], mark, row["length"], stats)
        _count_files(totals, row, dataset.features)
    return totals


def _count_files(totals: Totals, row: dict[str, Any], features: layout.Features) -> None:
    prefixes = {"data": "data", "episodes": "meta/episodes"}
    prefixes |= {key: f"videos/{key}" for key in layout.video_keys(features)}
    for kind, prefix in prefixes.items():
        number = row[f"{prefix}/chunk_index"] * layout.CHUNKS_SIZE + row[f"{prefix}/file_index"]
        totals.files[kind] = max(totals.files.get(kind, 0), number + 1)
