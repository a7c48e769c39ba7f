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
import pyarrow.parquet as pq

from components.core.errors import DatasetError
from components.core.files import read_json, sha256_file, tree_manifest
from components.core.records import Record
from components.core.spec import Embodiment
from components.dataset import layout
from components.dataset.close import UNLISTED
from components.dataset.columns import stats_from_json, stats_from_row
from components.dataset.opening import OpenedMetadata, open_metadata
from components.dataset.stats import FeatureStats, RunningStats
from components.dataset.video import decode_range

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
        self._places = metadata.places
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
        """meta/gripline/streams.parquet: one row per episode and recorded stream."""
        return pq.read_table(self.root / layout.OWN_STREAMS).to_pandas()

    @cached_property
    def stats(self) -> dict[str, FeatureStats]:
        """meta/stats.json: feature -> min, max, mean, std, count and quantiles over all episodes."""
        return stats_from_json(read_json(self.root / layout.STATS))

    def stats_of(self, episode_indices: list[int]) -> dict[str, FeatureStats]:
        """The same over some episodes, merged from their statistics; no frame is read."""
        wanted = {self._place(index)["episode_index"] for index in episode_indices}
        if not wanted:
            raise DatasetError("statistics of no episode", where=str(self.root))
        running = {key: RunningStats() for key in self.features}
        for row in self.metadata_rows():
            if row["episode_index"] in wanted:
                for key in running:
                    running[key].add(stats_from_row(row, key))
        return {key: value.result() for key, value in running.items()}

    def metadata_rows(self) -> Iterator[dict[str, Any]]:
        """Rows of meta/episodes, statistics included, by episode_index."""
        for path in sorted({self._path(layout.EPISODES_PATH, place, "meta/episodes") for place in self._places}):
            yield from pq.read_table(path).to_pylist()

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
        if camera not in self.cameras:
            raise DatasetError(f"no camera {camera!r}; there are {', '.join(self.cameras)}", where=str(self.root))
        place, key = self._place(episode_index), layout.image_key(camera)
        first = round(place[f"videos/{key}/from_timestamp"] * self.fps)
        path = self._path(layout.VIDEO_PATH, place, f"videos/{key}", video_key=key)
        return decode_range(path, first, place["length"], self.fps)

    def verify(self) -> None:
        """Compares every file with files.json. Raises `DatasetError` naming what changed, went missing or was added."""
        listed = self.root / layout.OWN_FILES
        hint = "Restore the tree (dvc checkout) or run ingest again"
        if sha256_file(listed) != self.record.attrs.get("files_sha256"):
            raise DatasetError("differs from what the record was sealed over", where=str(listed), hint=hint)
        expected, found = read_json(listed), tree_manifest(self.root, skip=UNLISTED)
        wrong = [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
        wrong += [f"{name} is not listed" for name in sorted(found.keys() - expected.keys())]
        wrong += [f"{name} changed" for name in sorted(expected.keys() & found.keys()) if expected[name] != found[name]]
        if wrong:
            more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
            raise DatasetError("; ".join(wrong[:5]) + more, where=str(self.root), hint=hint)

    def _place(self, episode_index: int) -> dict[str, Any]:
        if not 0 <= episode_index < len(self):
            raise DatasetError(f"no episode {episode_index}; there are {len(self)}", where=str(self.root))
        return self._places[episode_index]

    def _path(self, template: str, place: dict[str, Any], prefix: str, **names: str) -> Path:
        at = {name: place[f"{prefix}/{name}"] for name in ("chunk_index", "file_index")}
        return self.root / template.format(**at, **names)

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
