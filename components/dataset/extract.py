"""An episode out of a dataset as it went in, without decoding: for building another dataset of episodes one has."""

from __future__ import annotations

from components.dataset import layout
from components.dataset.calibrations import read_calibration
from components.dataset.frames import ROW_COLUMNS
from components.dataset.prepared import PreparedEpisode
from components.dataset.reader import Dataset
from components.dataset.remux import cut_episode
from components.dataset.sketch_files import sketches_of


def extract(dataset: Dataset, episode_index: int) -> PreparedEpisode:
    """The episode with its hashes, statistics and encoded videos. Raises `DatasetError` where the tree is damaged."""
    own = dataset.row(episode_index)
    frames = dataset.frames(episode_index)
    columns = {name: values for name, values in frames.items() if name not in layout.AUTO_FEATURES}
    row = {name: str(own[name]) for name in ROW_COLUMNS}
    return PreparedEpisode(
        episode_id=own["episode_id"],
        pixel_sha256=own["pixel_sha256"],
        frames_sha256=own["frames_sha256"],
        task=own["task"],
        instruction=own["instruction"],
        fps=dataset.fps,
        video=dataset.record.attrs["video"],
        row=row,
        streams=dataset.streams_of(episode_index),
        columns=columns,
        videos={
            camera: cut_episode(*dataset.video_place(episode_index, camera), dataset.fps) for camera in dataset.cameras
        },
        depth={
            camera: cut_episode(*dataset.depth_place(episode_index, camera), dataset.fps)
            for camera in dataset.depth_cameras(episode_index)
        },
        stats=dataset.stats_of_episode(episode_index),
        sketches=sketches_of(dataset, episode_index),
        calibration=read_calibration(dataset.root, row["calibration_digest"]) or {},
    )
