"""Reads a dataset tree: its table of episodes, and of each episode the numbers, pictures and statistics."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.core.errors import DatasetError
from components.core.records import Record
from components.core.spec import Embodiment
from components.dataset import layout
from components.dataset.calibrations import read_calibration
from components.dataset.columns import stats_from_json, stats_from_row
from components.dataset.commit import settled
from components.dataset.index_schema import EPISODE_COLUMNS
from components.dataset.opening import AGAIN, OpenedMetadata, open_metadata, read_as_opened, read_table
from components.dataset.parquet_rows import ParquetRows, as_numpy
from components.dataset.places import EpisodePlaces, Place
from components.dataset.sketch_files import SketchFiles
from components.dataset.statistics.merging import running_of
from components.dataset.stats import FeatureStats, RunningStats
from components.dataset.totals import stats_of_totals
from components.dataset.verify import verify
from components.dataset.video import DEPTH_FORMAT, decode_range

if TYPE_CHECKING:
    import pandas as pd


class Dataset:
    """A dataset tree that lies on disk; `open` checks the metadata, `verify` every byte.

    Example:
        dataset = Dataset.open(workspace.dataset)
        dataset.frames(0)["action"]      # float32 [T, A]
        dataset.images(0, "wrist")       # uint8 [T, H, W, 3]
    """

    def __init__(self, root: Path, metadata: OpenedMetadata) -> None:
        self.root = root
        self.info = metadata.info
        self.record: Record = metadata.record
        self.embodiment: Embodiment = metadata.embodiment
        self.index = metadata.index
        # files.json: name -> sha256 of each file.
        self.listed = metadata.listed
        self.next_episode = metadata.next_episode
        self.next_frame = metadata.next_frame
        self._next_files = metadata.next_files
        self.places = EpisodePlaces(root, self.index, self.embodiment)
        self._parquet = ParquetRows()

    @classmethod
    def open(cls, root: Path) -> Self:
        """Reads and cross-checks the metadata. Raises `DatasetError` naming what is missing or disagrees."""
        return cls(root, open_metadata(root))

    @property
    def fps(self) -> int:
        return int(self.info["fps"])

    @property
    def digest(self) -> str:
        return self.record.digest

    @property
    def features(self) -> layout.Features:
        features: layout.Features = self.info["features"]
        return features

    @property
    def cameras(self) -> tuple[str, ...]:
        return self.embodiment.observation.cameras

    def __len__(self) -> int:
        """Episodes that there are; their numbers need not be the first ones, see `indices`."""
        return len(self.index)

    @property
    def indices(self) -> npt.NDArray[np.int64]:
        """Episode numbers [N], ascending; deleted episodes leave gaps."""
        return self.index.indices

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Frames of each episode [N], in the order of `indices`."""
        return self.index.lengths

    def next_file(self, template: str) -> int:
        """The number that a writer gives to the next file of a kind: higher than that of any there ever was.

        Who opened the dataset before then finds no file rather than frames of other episodes.
        """
        return max(layout.next_number(self.listed, template), self._next_files.get(template, 0))

    def table(self, columns: Sequence[str]) -> pa.Table:
        """Columns of meta/gripline/episodes.parquet, one row an episode in the order of `indices`; each is read once.

        Raises `DatasetError` naming those that are not there.
        """
        return self.index.table(columns)

    @cached_property
    def episodes(self) -> pd.DataFrame:
        """Who the episodes are and where they came from (`EPISODE_COLUMNS`), all in memory: for small datasets."""
        return self.table(EPISODE_COLUMNS).to_pandas()

    def row(self, episode_index: int) -> dict[str, Any]:
        """The `EPISODE_COLUMNS` of one episode; reads one row group at most."""
        return self.index.row(self.index.at(episode_index), EPISODE_COLUMNS)

    def episode_id(self, episode_index: int) -> str:
        return str(self.index.row(self.index.at(episode_index), ["episode_id"])["episode_id"])

    @cached_property
    def streams(self) -> pd.DataFrame:
        """meta/gripline/streams: one row per episode and recorded stream, all in memory: for small datasets."""
        schema = layout.own_streams_schema()
        head = layout.STREAMS_PATH.rsplit("chunk-", 1)[0]
        names = sorted(name for name in self.listed if name.startswith(head))
        tables = [read_table(self.root, name, schema.names) for name in names]
        return pa.concat_tables([schema.empty_table(), *tables]).to_pandas()

    def streams_of(self, episode_index: int) -> list[dict[str, Any]]:
        """Rows of `streams` of one episode, without the episode_id."""
        place = self.places.streams(episode_index)
        if not place.length:
            return []
        rows = self._parquet.read(*place).to_pylist()
        name = self.episode_id(episode_index)
        if [row.pop("episode_id") for row in rows] != [name] * place.length:
            found = f"does not hold the streams of episode {episode_index}"
            raise DatasetError(found, where=str(place.path), hint=AGAIN)
        return rows

    @cached_property
    def sources(self) -> pd.DataFrame:
        """meta/gripline/sources.parquet: the files that were looked at; no row where nobody wrote them down."""
        return self._own_table(layout.OWN_SOURCES, layout.SOURCES_SCHEMA).to_pandas()

    @cached_property
    def stats(self) -> dict[str, FeatureStats]:
        """meta/stats.json: feature -> min, max, mean, std, count and quantiles over all episodes.

        Without the columns that say where in the dataset a frame is (`layout.PLACE_FEATURES`). Raises `DatasetError`
        where they are no longer those of the episodes that were opened.
        """
        return stats_from_json(read_as_opened(self.root, layout.STATS, self.listed))

    def running(self) -> dict[str, RunningStats]:
        """Statistics of all episodes that others can be merged into, from the totals. Raises as `stats` does."""
        return stats_of_totals(read_as_opened(self.root, layout.OWN_TOTALS, self.listed))

    @cached_property
    def sketches(self) -> SketchFiles:
        """What merges the quantiles of any episodes."""
        return SketchFiles(self)

    def stats_of(self, episode_indices: list[int]) -> dict[str, FeatureStats]:
        """The same over some episodes, merged from their statistics and sketches; no frame is read."""
        return {key: running.result() for key, running in running_of(self, episode_indices).items()}

    def stats_of_episode(self, episode_index: int) -> dict[str, FeatureStats]:
        """Statistics of every feature of one episode, without those of `layout.PLACE_FEATURES`."""
        length, path = int(self.lengths[self.index.at(episode_index)]), self.places.metadata(episode_index)
        chosen = [("episode_index", "=", episode_index), ("length", "=", length)]
        try:
            rows = settled(path, lambda at: pq.read_table(at, filters=chosen))
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(f"unreadable: {error}", where=str(path), hint=AGAIN) from error
        if rows.num_rows != 1:
            found = f"the row of episode {episode_index} has changed since the dataset was opened"
            raise DatasetError(found, where=str(path), hint="Open it again")
        row = rows.to_pylist()[0]
        return {key: stats_from_row(row, key) for key in self.features if key not in layout.PLACE_FEATURES}

    def frames(self, episode_index: int, names: Sequence[str] | None = None) -> dict[str, npt.NDArray[Any]]:
        """Numeric columns of an episode: state, action and extras [T, D]; time and LeRobot's own columns [T].

        All of them, or those called `names` (feature keys): no others are read.
        """
        place = self.places.data(episode_index)
        wanted = None if names is None else list(dict.fromkeys([*names, "episode_index"]))
        table = self._parquet.read(*place, wanted)
        wrong = as_numpy(table["episode_index"]) != episode_index
        if table.num_rows != place.length or wrong.any():
            found = f"episode {episode_index} has {table.num_rows - int(wrong.sum())} rows"
            raise DatasetError(f"{found}, the metadata promises {place.length}", where=str(place.path), hint=AGAIN)
        scalars = {layout.TIME, *layout.AUTO_FEATURES}
        columns = {name: as_numpy(table[name]) for name in (table.column_names if names is None else names)}
        return {
            name: values if name in scalars else values.reshape(-1, self.features[name]["shape"][0])
            for name, values in columns.items()
        }

    def images(self, episode_index: int, camera: str) -> npt.NDArray[np.uint8]:
        """Frames of a camera: uint8 [T, H, W, 3] RGB."""
        return self._decoded(self.places.video(episode_index, camera))

    def video_place(self, episode_index: int, camera: str) -> Place:
        """The file that holds the frames of a camera, the first of them, and how many there are."""
        return self.places.video(episode_index, camera)

    def depth(self, episode_index: int, camera: str) -> npt.NDArray[np.uint16]:
        """Frames of a depth camera, as they were recorded: uint16 [T, H, W] in millimetres."""
        return self._decoded(self.places.depth(episode_index, camera), pix_fmt=DEPTH_FORMAT)

    def depth_place(self, episode_index: int, camera: str) -> Place:
        """As `video_place`, for a depth camera."""
        return self.places.depth(episode_index, camera)

    def depth_cameras(self, episode_index: int) -> tuple[str, ...]:
        """The depth cameras that an episode has."""
        return self.places.depth_cameras(episode_index)

    def calibration(self, digest: str) -> dict[str, Any]:
        """The calibration that `calibration_digest` in the table of episodes names."""
        calibration = read_calibration(self.root, digest)
        if calibration is None:
            raise DatasetError(f"no calibration {digest[:12]!r}", where=str(self.root))
        return calibration

    def verify(self) -> None:
        """Compares every file with files.json, the table of episodes with the record and with meta/episodes.

        Raises `DatasetError` naming what changed, went missing or was added, or what disagrees.
        """
        verify(self)

    def _decoded(self, place: Place, **options: str) -> npt.NDArray[Any]:
        def decode(path: Path) -> npt.NDArray[Any]:
            path.stat()
            return decode_range(path, place.first, place.length, self.fps, **options)

        try:
            return settled(place.path, decode)
        except FileNotFoundError as error:
            raise DatasetError(
                "video cannot be decoded: there is no such file", where=str(place.path), hint=AGAIN
            ) from error

    def _own_table(self, name: str, schema: pa.Schema) -> pa.Table:
        return read_table(self.root, name, schema.names) if name in self.listed else schema.empty_table()
