"""Writes a dataset tree, one episode at a time, in constant memory and with the same bytes for the same episodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa

from components.core.errors import DatasetError
from components.core.files import write_bytes
from components.core.params import Video
from components.core.spec import Embodiment
from components.dataset import layout
from components.dataset.calibrations import Calibrations
from components.dataset.close import stage_metadata, with_splits, write_table
from components.dataset.columns import data_table, place_columns, stats_row, tick_columns
from components.dataset.commit import COMMITTED, STAGED, publish, recover
from components.dataset.files import OpenFiles
from components.dataset.fit import extras_of, fitting_depth, fitting_videos, require_fit
from components.dataset.frames import SPLITS, EpisodeFrames
from components.dataset.layout import image_key
from components.dataset.prepare import prepare
from components.dataset.prepared import PreparedEpisode
from components.dataset.remux import EncodedEpisode
from components.dataset.stats import numeric_stats
from components.dataset.totals import Totals
from components.dataset.video import encoder_settings

_MB = 1 << 20
# Episodes whose rows are held until a row group of metadata is written.
_GROUP = 64


class DatasetWriter:
    """Adds episodes to a LeRobot v3.0 tree in `root`; they are part of it from the next `commit` or `close` on.

    Episodes may come in any order; the order decides `episode_index` and nothing else. Killed at any moment, the tree
    opens with what it held at the last commit. Used as a context manager it drops what was not committed.
    """

    def __init__(
        self,
        root: Path,
        embodiment: Embodiment,
        fps: int,
        video: Video,
        *,
        data_file_mb: float = layout.DATA_FILES_MB,
        video_file_mb: float = layout.VIDEO_FILES_MB,
        totals: Totals | None = None,
    ) -> None:
        encoder_settings(video)
        if totals is None and ((root / layout.INFO).exists() or (root / COMMITTED).exists()):
            raise DatasetError("holds a dataset already", where=str(root), hint="Use `resume` to add episodes to it")
        recover(root)
        self.root = root
        self.embodiment = embodiment
        self.fps = fps
        self.video = video
        self.totals = totals or Totals()
        self._limits = int(data_file_mb * _MB), int(video_file_mb * _MB)
        self._state = "open"
        self._start()

    @property
    def features(self) -> layout.Features:
        return layout.build_features(self.embodiment, self.fps, self.video, self.totals.extras or {})

    def add_frames(self, episode: EpisodeFrames) -> None:
        """Prepares and adds one episode."""
        self.add(prepare(episode, self.fps, self.video, image_px=self.embodiment.observation.image_px))

    def add(self, episode: PreparedEpisode) -> None:
        """Writes one episode.

        Raises `DatasetError` and writes nothing where the episode does not fit the embodiment or the settings, differs
        in features from the ones before, is there already, or where its videos do not hold its frames.
        """
        self._require_open()
        totals = self.totals
        totals.require_new(episode.episode_id)
        require_fit(episode, self.embodiment, fps=self.fps, video=self.video.model_dump(), extras=totals.extras)
        videos, depth = fitting_videos(episode, self.embodiment), fitting_depth(episode)
        self._state = "broken"  # until every file has the episode
        totals.extras = extras_of(episode)
        self._write(episode, videos)
        self._write_depth(episode, depth)
        self._calibrations.add(episode)
        if len(self._rows) >= _GROUP:
            self._flush()
        self._state = "open"

    def put(self, name: str, data: bytes) -> None:
        """One more file of the tree, there from the next commit on; `name`: path inside the tree."""
        self._require_open()
        write_bytes(self.root / STAGED / name, data)

    def commit(
        self,
        splits: Mapping[str, str] | None = None,
        *,
        sources: Iterable[Mapping[str, str]] | None = None,
        inputs: dict[str, str] | None = None,
        params: dict[str, Any] | None = None,
        counts: dict[str, float] | None = None,
    ) -> str:
        """Makes all that was added part of the tree, durably and at once; returns the dataset digest.

        `splits`: episode_id -> "train" or "val"; episodes that it does not name keep theirs, which is "train" for new
        ones. `sources`: all rows of sources.parquet (`layout.SOURCES_SCHEMA`), kept as they are where absent. The
        other arguments go into record.json. Further files that belong into the tree must lie there before, or be `put`.
        """
        self._require_open()
        if not self.totals.episodes:
            raise DatasetError("no episode was added", where=str(self.root), hint="Look at why all were quarantined")
        own_episodes = self._own_episodes(splits or {})
        self._state = "broken"
        self._flush()
        self.totals.files |= self._files.close()
        self.totals.own_episodes = own_episodes
        self.totals.own_depth = _appended(self.totals.own_depth, self._depth_rows)
        self._calibrations.stage(self.root)
        if sources is not None:
            rows = pa.Table.from_pylist([dict(row) for row in sources], schema=layout.SOURCES_SCHEMA)
            write_table(self.root / STAGED / layout.OWN_SOURCES, rows)
        digest = stage_metadata(
            self.root,
            embodiment=self.embodiment,
            fps=self.fps,
            video=self.video.model_dump(),
            features=self.features,
            totals=self.totals,
            inputs=inputs or {},
            params=params or {},
            counts=counts or {},
        )
        publish(self.root)
        self._start()
        self._state = "open"
        return digest

    def close(self, splits: Mapping[str, str] | None = None, **arguments: Any) -> str:
        """`commit`, after which the writer takes no more."""
        digest = self.commit(splits, **arguments)
        self._state = "closed"
        return digest

    def abort(self) -> None:
        """Drops what was added since the last commit; without one, what lies in `root` is not a dataset."""
        if self._state != "closed":
            self._files.close()
            recover(self.root)
            self._state = "aborted"

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.abort()

    def _require_open(self) -> None:
        if self._state != "open":
            raise DatasetError(f"the writer is {self._state}", where=str(self.root))

    def _start(self) -> None:
        """Nothing is open and nothing is held since the last commit."""
        table_bytes, video_bytes = self._limits
        self._files = OpenFiles(
            self.root / STAGED, self.fps, self.totals.files, table_bytes=table_bytes, video_bytes=video_bytes
        )
        self._rows: list[dict[str, Any]] = []
        self._stream_rows: list[dict[str, Any]] = []
        self._own_rows: list[dict[str, Any]] = []
        self._depth_rows: list[dict[str, Any]] = []
        self._calibrations = Calibrations()

    def _write(self, episode: PreparedEpisode, videos: dict[str, EncodedEpisode]) -> None:
        totals, length, first = self.totals, len(episode), self.totals.frames
        words = episode.instruction or episode.task
        places = place_columns(length, episode_index=totals.episodes, first=first, task_index=totals.task_index(words))
        columns = {**episode.columns, **tick_columns(length, self.fps), **places}
        data = self._files.table(layout.DATA_PATH, layout.data_schema(self.features))
        row: dict[str, Any] = {"episode_index": totals.episodes, "tasks": [words], "length": length}
        row |= _prefixed("data", data.write(data_table(columns, self.features)))
        row |= {"dataset_from_index": first, "dataset_to_index": first + length}
        for camera, video in videos.items():
            where, start = self._files.video(layout.video_path(image_key(camera))).append(video)
            times = {"from_timestamp": start / self.fps, "to_timestamp": (start + length) / self.fps}
            row |= _prefixed(f"videos/{image_key(camera)}", {**where, **times})
        stats = episode.stats | {key: numeric_stats(values) for key, values in places.items()}
        self._rows.append(row | stats_row(stats))
        self._own_rows.append(_own_row(episode, totals.episodes))
        self._stream_rows += [{"episode_id": episode.episode_id, **stream} for stream in episode.streams]
        totals.count(episode.episode_id, length, stats)

    def _write_depth(self, episode: PreparedEpisode, depth: dict[str, EncodedEpisode]) -> None:
        for camera, video in depth.items():
            where, start = self._files.video(layout.depth_path(camera)).append(video)
            size = {"length": video.frames, "height": video.height, "width": video.width}
            row = {"episode_id": episode.episode_id, "camera": camera, **where, "first_frame": start, **size}
            self._depth_rows.append(row)

    def _flush(self) -> None:
        if self._rows:
            schema = layout.episodes_schema(self.features)
            table = self._files.table(layout.EPISODES_PATH, schema)
            where = _prefixed("meta/episodes", table.reserve(len(self._rows)))
            table.write(pa.Table.from_pylist([row | where for row in self._rows], schema=schema))
            self._rows = []
        if self._stream_rows:
            schema = layout.own_streams_schema()
            self._files.table(layout.STREAMS_PATH, schema).write(pa.Table.from_pylist(self._stream_rows, schema=schema))
            self._stream_rows = []

    def _own_episodes(self, splits: Mapping[str, str]) -> pa.Table:
        rows = _appended(self.totals.own_episodes, self._own_rows)
        return with_splits(rows, splits) if splits else rows


def _appended(table: pa.Table, rows: list[dict[str, Any]]) -> pa.Table:
    return pa.concat_tables([table, pa.Table.from_pylist(rows, schema=table.schema)]) if rows else table


def _prefixed(prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    return {f"{prefix}/{key}": value for key, value in values.items()}


def _own_row(episode: PreparedEpisode, episode_index: int) -> dict[str, Any]:
    return {
        "episode_id": episode.episode_id,
        "pixel_sha256": episode.pixel_sha256,
        "frames_sha256": episode.frames_sha256,
        "episode_index": episode_index,
        "length": len(episode),
        "task": episode.task,
        "instruction": episode.instruction,
        **episode.row,
        "split": SPLITS[0],
    }
