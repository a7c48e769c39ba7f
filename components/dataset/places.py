"""Where the bytes of an episode lie: which file, from which row or frame on, how many. Reads numbers of the index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from components.core.errors import DatasetError
from components.core.spec import Embodiment
from components.dataset import layout
from components.dataset.commit import resolve
from components.dataset.index import EpisodeIndex
from components.dataset.index_schema import ABSENT, depth_prefix, video_prefix

_FILE = ("chunk_index", "file_index")


class Place(NamedTuple):
    """`length` rows or frames of the file `path`, from `first` on."""

    path: Path
    first: int
    length: int


class EpisodePlaces:
    """The places of the episodes of one tree, by episode number. Raises `DatasetError` for one that is not there."""

    def __init__(self, root: Path, index: EpisodeIndex, embodiment: Embodiment) -> None:
        self._root = root
        self._index = index
        self._seen = embodiment.observation

    def data(self, episode_index: int) -> Place:
        """Rows of numbers."""
        chunk, file, row, length = self._numbers(episode_index, "data", (*_FILE, "row"))
        return Place(self._path(layout.DATA_PATH, chunk, file), row, length)

    def streams(self, episode_index: int) -> Place:
        """Rows of meta/gripline/streams; none where nothing is known of its streams."""
        chunk, file, row, count, _ = self._numbers(episode_index, "streams", (*_FILE, "row", "count"))
        return Place(self._path(layout.STREAMS_PATH, chunk, file), row, count)

    def metadata(self, episode_index: int) -> Path:
        """The file of meta/episodes that has its row."""
        chunk, file, _ = self._numbers(episode_index, "meta/episodes", _FILE)
        return self._path(layout.EPISODES_PATH, chunk, file)

    def video(self, episode_index: int, camera: str) -> Place:
        """Frames of a camera. Raises `DatasetError` for a camera that is not there, too."""
        if camera not in self._seen.cameras:
            known = ", ".join(self._seen.cameras)
            raise DatasetError(f"no camera {camera!r}; there are {known}", where=str(self._root))
        key = layout.image_key(camera)
        chunk, file, first, length = self._numbers(episode_index, video_prefix(key), (*_FILE, "first_frame"))
        return Place(self._path(layout.video_path(key), chunk, file), first, length)

    def depth(self, episode_index: int, camera: str) -> Place:
        """Frames of a depth camera. Raises `DatasetError` where the episode has none of it, too."""
        if camera not in self.depth_cameras(episode_index):
            raise DatasetError(f"episode {episode_index} has no depth camera {camera!r}", where=str(self._root))
        chunk, file, first, length = self._numbers(episode_index, depth_prefix(camera), (*_FILE, "first_frame"))
        return Place(self._path(layout.depth_path(camera), chunk, file), first, length)

    def depth_cameras(self, episode_index: int) -> tuple[str, ...]:
        """The depth cameras that an episode has."""
        firsts = {
            camera: self._numbers(episode_index, depth_prefix(camera), ("first_frame",))[0]
            for camera in self._seen.depth
        }
        return tuple(camera for camera, first in firsts.items() if first != ABSENT)

    def _numbers(self, episode_index: int, prefix: str, names: Sequence[str]) -> list[int]:
        """Columns of one kind of file, and the length of the episode."""
        row = self._index.at(episode_index)
        columns = [*(f"{prefix}/{name}" for name in names), "length"]
        return [int(self._index.numbers(name)[row]) for name in columns]

    def _path(self, template: str, chunk: int, file: int) -> Path:
        return resolve(self._root, template.format(chunk_index=chunk, file_index=file))
