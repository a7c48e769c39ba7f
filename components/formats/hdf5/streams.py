"""One stream of an open episode, as its rule says."""

from __future__ import annotations

import h5py
import numpy as np
import numpy.typing as npt

from components.core.episode import Stream
from components.core.errors import EpisodeError
from components.formats.assemble import is_picture, numeric_stream, picture_stream
from components.formats.hdf5.clock import Clock
from components.formats.hdf5.dialect import Scene
from components.formats.hdf5.droid import VIDEOS
from components.formats.hdf5.file import find, place
from components.formats.hdf5.frames import SharedFile, frames_of
from components.formats.hdf5.values import numbers
from components.formats.hdf5.video import VideoFrames, count_frames
from components.formats.mapping import StreamRule


def stream_of(scene: Scene, name: str, rule: StreamRule, clock: Clock, file: SharedFile) -> Stream | None:
    """None where the episode has no such dataset. Raises `EpisodeError` and `FormatError` naming what is wrong."""
    if scene.folder is not None and rule.source.startswith(f"{VIDEOS}/"):
        return _video(scene, name, rule, clock)
    dataset = find(scene.group, rule.source, where=scene.where)
    if dataset is None:
        return None
    if not isinstance(dataset, h5py.Dataset):
        raise EpisodeError(f"{rule.source!r} is a group, expected a dataset", where=scene.where, code="wrong_type")
    if is_picture(rule):
        frames = frames_of(dataset, rule, file, where=scene.where)
        return picture_stream(name, rule, clock.times(rule, len(frames)), frames, where=scene.where)
    values, columns = numbers(dataset, rule.source, where=scene.where)
    if not values.ndim:
        raise EpisodeError(f"{rule.source!r} is one value, not one a step", where=scene.where, code="wrong_shape")
    values = _selected(values, columns, rule, where=scene.where)
    return numeric_stream(name, rule, clock.times(rule, len(values)), values, where=scene.where)


def _selected(
    values: npt.NDArray[np.generic], columns: tuple[str, ...], rule: StreamRule, *, where: str
) -> npt.NDArray[np.generic]:
    """The columns of a compound dataset that the rule chooses by name."""
    wanted = [column for column in rule.select if isinstance(column, str)]
    if not wanted and columns and rule.names and set(rule.names) <= set(columns):
        wanted = list(rule.names)
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise EpisodeError(
            f"{rule.source!r} has no member {missing[0]!r}; there are {', '.join(columns) or 'none'}",
            where=where,
            hint="Datasets that are not compound have columns by number, from 0",
            code="wrong_shape",
        )
    return values[..., [columns.index(name) for name in wanted]] if wanted else values


def _video(scene: Scene, name: str, rule: StreamRule, clock: Clock) -> Stream | None:
    """Frame i is of step i; where a video is shorter, the steps behind its end have no frame."""
    assert scene.folder is not None
    path = scene.folder / rule.source
    # A mapping may say anything, but not lead out of the folder.
    if ".." in path.parts or not path.is_file():
        return None
    at = place(scene.where, rule.source)
    count = count_frames(path, where=at)
    times = clock.times(rule, count)
    if not count:
        raise EpisodeError(f"video {rule.source!r} holds no frame", where=scene.where, code="bad_video")
    count = min(count, len(times))
    frames = VideoFrames(path, count, flip=rule.flip, bgr=rule.order == "bgr", where=at)
    return Stream(name, rule.kind, times[:count], frames)
