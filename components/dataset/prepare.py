"""Makes an episode ready for the writer: all that costs time, in one pass over its pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.errors import DatasetError
from components.core.frames_digest import frames_sha256
from components.core.params import Video
from components.dataset.columns import tick_columns
from components.dataset.frames import EpisodeFrames, Pictures
from components.dataset.image_stats import ImageStats
from components.dataset.layout import ACTION, STATE, TIME, image_key
from components.dataset.prepared import PreparedEpisode
from components.dataset.stats import Measured, measure
from components.dataset.video import encode_depth, encode_episode


def prepare(episode: EpisodeFrames, fps: int, video: Video, *, image_px: int) -> PreparedEpisode:
    """Encodes, hashes and measures an episode; holds one picture at a time, whatever its length.

    `image_px`: side of the camera pictures. Raises `DatasetError` where a picture has another shape or type, and
    `ParamsError` for settings that no encoder here can do.
    """
    digest, videos, depth = hashlib.sha256(), {}, {}
    measured: dict[str, Measured] = {}
    for camera in sorted(episode.images):
        shape, seen = (image_px, image_px, 3), ImageStats(len(episode))
        frames = _hashed(episode, camera, episode.images[camera], shape, np.dtype(np.uint8), digest)
        videos[camera] = encode_episode(_measured(frames, seen), fps, video)
        measured[image_key(camera)] = seen.result(), seen.sketch
    for camera in sorted(episode.depth):
        frames = _hashed(episode, f"depth/{camera}", episode.depth[camera], None, np.dtype(np.uint16), digest)
        depth[camera] = encode_depth(frames, fps)
    columns = {STATE: episode.state, **episode.extras, TIME: episode.time_s, ACTION: episode.action}
    counted = columns | tick_columns(len(episode), fps)
    measured |= {key: measure(values) for key, values in counted.items()}
    return PreparedEpisode(
        episode_id=episode.episode_id,
        pixel_sha256=digest.hexdigest(),
        frames_sha256=frames_sha256(columns, [episode.task, episode.instruction]),
        task=episode.task,
        instruction=episode.instruction,
        fps=fps,
        video=video.model_dump(),
        row=episode.row,
        streams=episode.streams,
        columns=columns,
        videos=videos,
        depth=depth,
        stats={key: stats for key, (stats, _) in measured.items()},
        sketches={key: sketch for key, (_, sketch) in measured.items()},
        calibration=episode.calibration,
    )


def _hashed(
    episode: EpisodeFrames,
    name: str,
    pictures: Pictures,
    shape: tuple[int, ...] | None,
    dtype: np.dtype[Any],
    digest: Any,
) -> Iterator[npt.NDArray[Any]]:
    """The pictures, once each is looked at and its bytes are in `digest`; `shape` is that of the first where absent.

    The bytes under the digest are those of one array [T, *shape], so that one recording has one hash whatever held it.
    """
    count = 0
    for picture in pictures:
        shape = shape or picture.shape
        if picture.shape != shape or picture.dtype != dtype or (dtype == np.uint16 and picture.ndim != 2):
            raise DatasetError(
                f"camera {name!r}: picture {count} is {picture.dtype} {list(picture.shape)}, "
                f"expected {dtype} {list(shape) if shape[2:] or dtype == np.uint8 else '[H, W]'}",
                where=episode.where,
            )
        if not count:
            digest.update(f"\0{name}\0{[len(episode), *shape]}\0".encode())
        digest.update(np.ascontiguousarray(picture).data)
        count += 1
        yield picture
    if count != len(episode):
        raise DatasetError(f"camera {name!r}: {count} pictures, expected {len(episode)}", where=episode.where)


def _measured(frames: Iterator[npt.NDArray[np.uint8]], stats: ImageStats) -> Iterator[npt.NDArray[np.uint8]]:
    for frame in frames:
        stats.add(frame)
        yield frame
