"""Opens a dataset tree, and says what is wrong with it where it does not hold what its metadata promises."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.core.errors import DatasetError
from components.core.files import read_json, sha256_file
from components.core.records import Record
from components.core.spec import Embodiment
from components.dataset import layout
from components.dataset.calibrations import read_calibration
from components.dataset.close import UNLISTED
from components.dataset.columns import stats_from_json, stats_from_row
from components.dataset.commit import resolve, tree_files
from components.dataset.opening import OpenedMetadata, open_metadata, read_table
from components.dataset.stats import FeatureStats, RunningStats
from components.dataset.video import DEPTH_FORMAT, decode_range

_VECTORS = (layout.STATE, layout.ACTION)


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
        # meta/gripline/episodes.parquet, one row an episode, by episode_index.
        self.episodes: pd.DataFrame = metadata.episodes
        self._places = {str(name): column.to_numpy() for name, column in metadata.places.items()}
        self._table: tuple[Path, pq.ParquetFile] | None = None

    @classmethod
    def open(cls, root: Path) -> Dataset:
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
        return len(self.episodes)

    @cached_property
    def streams(self) -> pd.DataFrame:
        """meta/gripline/streams: one row per episode and recorded stream."""
        return self._streams.to_pandas()

    def streams_of(self, episode_index: int) -> list[dict[str, Any]]:
        """Rows of `streams` of one episode, without the episode_id."""
        start, count = self._stream_rows.get(self.episode_id(episode_index), (0, 0))
        return self._streams.slice(start, count).drop_columns(["episode_id"]).to_pylist()

    @cached_property
    def _streams(self) -> pa.Table:
        schema = layout.own_streams_schema()
        head = layout.STREAMS_PATH.rsplit("chunk-", 1)[0]
        names = sorted(name for name in self._listed if name.startswith(head))
        tables = [read_table(self.root, name, schema.names) for name in names]
        return pa.concat_tables([schema.empty_table(), *tables]).combine_chunks()

    @cached_property
    def _stream_rows(self) -> dict[str, tuple[int, int]]:
        """episode_id -> its first row and how many there are; they lie one after the other."""
        runs = pc.run_end_encode(self._streams["episode_id"].combine_chunks())
        ends = runs.run_ends.to_numpy()
        starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
        places = zip(starts.tolist(), (ends - starts).tolist(), strict=True)
        return dict(zip(runs.values.to_pylist(), places, strict=True))

    @cached_property
    def sources(self) -> pd.DataFrame:
        """meta/gripline/sources.parquet: the files that were looked at; no row where nobody wrote them down."""
        return self._own_table(layout.OWN_SOURCES, layout.SOURCES_SCHEMA).to_pandas()

    @cached_property
    def stats(self) -> dict[str, FeatureStats]:
        """meta/stats.json: feature -> min, max, mean, std, count and quantiles over all episodes.

        Without the columns that say where in the dataset a frame is (`layout.PLACE_FEATURES`).
        """
        return stats_from_json(read_json(self._file(layout.STATS)))

    def stats_of(self, episode_indices: list[int]) -> dict[str, FeatureStats]:
        """The same over some episodes, merged from their statistics; no frame is read."""
        wanted = {self._place(index)["episode_index"] for index in episode_indices}
        if not wanted:
            raise DatasetError("statistics of no episode", where=str(self.root))
        running = {key: RunningStats() for key in self.features if key not in layout.PLACE_FEATURES}
        for row in self.metadata_rows():
            if row["episode_index"] in wanted:
                for key in running:
                    running[key].add(stats_from_row(row, key))
        return {key: value.result() for key, value in running.items()}

    def stats_of_episode(self, episode_index: int) -> dict[str, FeatureStats]:
        """Statistics of every feature of one episode, without those of `layout.PLACE_FEATURES`."""
        path = self._path(layout.EPISODES_PATH, self._place(episode_index), "meta/episodes")
        row = pq.read_table(path, filters=[("episode_index", "=", episode_index)]).to_pylist()[0]
        return {key: stats_from_row(row, key) for key in self.features if key not in layout.PLACE_FEATURES}

    def metadata_rows(self) -> Iterator[dict[str, Any]]:
        """Rows of meta/episodes, statistics included, by episode_index."""
        for name in sorted(name for name in self._listed if name.startswith("meta/episodes/")):
            yield from pq.read_table(self._file(name)).to_pylist()

    def frames(self, episode_index: int) -> dict[str, npt.NDArray[Any]]:
        """Every numeric column of an episode: state, action and extras [T, D]; time and LeRobot's own columns [T]."""
        place = self._place(episode_index)
        table = self._rows(place)
        wrong = np.asarray(table["episode_index"]) != episode_index
        if table.num_rows != place["length"] or wrong.any():
            raise DatasetError(
                f"episode {episode_index} has {table.num_rows - int(wrong.sum())} rows, the metadata promises "
                f"{place['length']}",
                where=str(self._path(layout.DATA_PATH, place, "data")),
            )
        scalars = {layout.TIME, *layout.AUTO_FEATURES}
        return {
            name: _array(table[name], None if name in scalars else self.features[name]["shape"][0])
            for name in table.column_names
        }

    def images(self, episode_index: int, camera: str) -> npt.NDArray[np.uint8]:
        """Frames of a camera: uint8 [T, H, W, 3] RGB."""
        path, first, length = self.video_place(episode_index, camera)
        return decode_range(path, first, length, self.fps)

    def video_place(self, episode_index: int, camera: str) -> tuple[Path, int, int]:
        """The file that holds the frames of a camera, the first of them, and how many there are."""
        if camera not in self.cameras:
            raise DatasetError(f"no camera {camera!r}; there are {', '.join(self.cameras)}", where=str(self.root))
        place, key = self._place(episode_index), layout.image_key(camera)
        first = round(place[f"videos/{key}/from_timestamp"] * self.fps)
        path = self._path(layout.video_path(key), place, f"videos/{key}")
        return path, first, place["length"]

    def depth(self, episode_index: int, camera: str) -> npt.NDArray[np.uint16]:
        """Frames of a depth camera, as they were recorded: uint16 [T, H, W] in millimetres."""
        path, first, length = self.depth_place(episode_index, camera)
        return decode_range(path, first, length, self.fps, pix_fmt=DEPTH_FORMAT)

    def depth_place(self, episode_index: int, camera: str) -> tuple[Path, int, int]:
        """As `video_place`, for a depth camera."""
        place = self._depth_places.get((self.episode_id(episode_index), camera))
        if place is None:
            raise DatasetError(f"episode {episode_index} has no depth camera {camera!r}", where=str(self.root))
        path = layout.depth_path(camera).format(chunk_index=place[0], file_index=place[1])
        return self._file(path), place[2], place[3]

    def depth_cameras(self, episode_index: int) -> tuple[str, ...]:
        """The depth cameras that an episode has."""
        name = self.episode_id(episode_index)
        return tuple(camera for camera in self.embodiment.observation.depth if (name, camera) in self._depth_places)

    @cached_property
    def depth_table(self) -> pa.Table:
        """meta/gripline/depth.parquet: where the depth of each episode lies."""
        return self._own_table(layout.OWN_DEPTH, layout.DEPTH_SCHEMA)

    @cached_property
    def _depth_places(self) -> dict[tuple[str, str], tuple[int, int, int, int]]:
        columns = self.depth_table.to_pydict()
        names = zip(columns["episode_id"], columns["camera"], strict=True)
        places = zip(*(columns[name] for name in ("chunk_index", "file_index", "first_frame", "length")), strict=True)
        return dict(zip(names, places, strict=True))

    def calibration(self, digest: str) -> dict[str, Any]:
        """The calibration that `calibration_digest` in the table of episodes names."""
        calibration = read_calibration(self.root, digest)
        if calibration is None:
            raise DatasetError(f"no calibration {digest[:12]!r}", where=str(self.root))
        return calibration

    def episode_id(self, episode_index: int) -> str:
        return str(self.episodes["episode_id"].iloc[self._place(episode_index)["episode_index"]])

    def verify(self) -> None:
        """Compares every file with files.json. Raises `DatasetError` naming what changed, went missing or was added."""
        listed = self._file(layout.OWN_FILES)
        hint = "Restore the tree (dvc checkout) or run ingest again"
        if sha256_file(listed) != self.record.attrs.get("files_sha256"):
            raise DatasetError("differs from what the record was sealed over", where=str(listed), hint=hint)
        names = tree_files(self.root).difference(UNLISTED)
        expected, found = read_json(listed), {name: sha256_file(self._file(name)) for name in names}
        wrong = [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
        wrong += [f"{name} is not listed" for name in sorted(found.keys() - expected.keys())]
        wrong += [f"{name} changed" for name in sorted(expected.keys() & found.keys()) if expected[name] != found[name]]
        if wrong:
            more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
            raise DatasetError("; ".join(wrong[:5]) + more, where=str(self.root), hint=hint)

    @cached_property
    def _listed(self) -> frozenset[str]:
        return frozenset(read_json(self._file(layout.OWN_FILES)))

    def _file(self, name: str) -> Path:
        return resolve(self.root, name)

    def _own_table(self, name: str, schema: pa.Schema) -> pa.Table:
        return read_table(self.root, name, schema.names) if name in self._listed else schema.empty_table()

    def _place(self, episode_index: int) -> dict[str, Any]:
        if not 0 <= episode_index < len(self):
            raise DatasetError(f"no episode {episode_index}; there are {len(self)}", where=str(self.root))
        return {name: column[episode_index].item() for name, column in self._places.items()}

    def _path(self, template: str, place: dict[str, Any], prefix: str) -> Path:
        at = {name: place[f"{prefix}/{name}"] for name in ("chunk_index", "file_index")}
        return self._file(template.format(**at))

    def _rows(self, place: dict[str, Any]) -> pa.Table:
        """The rows of one episode, from the row groups that hold them."""
        path = self._path(layout.DATA_PATH, place, "data")
        first = place["dataset_from_index"] - place["data/first_index"]
        try:
            if self._table is None or self._table[0] != path:
                self._table = path, pq.ParquetFile(path)
            file = self._table[1]
            ends = np.cumsum([file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)])
            groups = np.flatnonzero((ends > first) & (np.concatenate([[0], ends[:-1]]) < first + place["length"]))
            start = int(ends[groups[0] - 1]) if len(groups) and groups[0] else 0
            return file.read_row_groups(groups.tolist()).slice(first - start, place["length"])
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(
                f"unreadable: {error}", where=str(path), hint="Restore it or run ingest again"
            ) from error


def _array(column: pa.ChunkedArray, width: int | None) -> npt.NDArray[Any]:
    values = column.combine_chunks()
    if pa.types.is_fixed_size_list(values.type):
        values = values.flatten()
    array: npt.NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return array if width is None else array.reshape(-1, width)
