"""Goes on writing where a dataset ends: new files for new episodes, no old data or video file touched."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from components.core.errors import DatasetError
from components.core.params import Video
from components.dataset import layout
from components.dataset.commit import recover
from components.dataset.index_schema import index_schema
from components.dataset.lock import writing
from components.dataset.reader import Dataset
from components.dataset.totals import Totals
from components.dataset.writer import DatasetWriter


def resume(root: Path, video: Video, **limits: float) -> DatasetWriter:
    """A writer that adds to the dataset in `root`; until its first commit, the old dataset stays as it was.

    What a killed writer had begun is dropped. Raises `DatasetError` where `video` differs from what the dataset was
    written with, and `Busy` where another process writes to it.
    """
    with writing(root):
        recover(root)
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
    """Counts, tasks, identities and statistics, from metadata alone and without looking at single episodes."""
    root = dataset.root
    fixed = {layout.STATE, layout.ACTION, layout.TIME, *layout.AUTO_FEATURES, *layout.video_keys(dataset.features)}
    tasks = pq.read_table(root / layout.TASKS).to_pandas()
    templates = [layout.DATA_PATH, layout.EPISODES_PATH, layout.STREAMS_PATH, layout.SKETCHES_PATH]
    templates += [layout.video_path(key) for key in layout.video_keys(dataset.features)]
    templates += [layout.depth_path(camera) for camera in dataset.embodiment.observation.depth]
    return Totals(
        episodes=len(dataset),
        frames=dataset.info["total_frames"],
        next_episode=dataset.next_episode,
        next_frame=dataset.next_frame,
        tasks={str(task): int(index) for task, index in tasks["task_index"].items()},
        extras={key: (f["dtype"], f["shape"][0]) for key, f in dataset.features.items() if key not in fixed},
        ids=set(dataset.table(["episode_id"])["episode_id"].to_pylist()),
        stats=dataset.running(),
        files={template: dataset.next_file(template) for template in templates},
        known=dict(dataset.listed),
        own_episodes=dataset.table(index_schema(dataset.features, dataset.embodiment.observation.depth).names),
    )
