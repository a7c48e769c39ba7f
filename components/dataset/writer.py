"""Writes a dataset tree, one episode at a time, in constant memory and with the same bytes for the same episodes."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa

from components.core.errors import DatasetError
from components.core.params import Video
from components.core.spec import Embodiment
from components.dataset import layout
from components.dataset.close import write_metadata
from components.dataset.columns import data_table, episode_columns, episode_stats, stats_row
from components.dataset.frames import EpisodeFrames
from components.dataset.identity import fingerprint
from components.dataset.layout import image_key
from components.dataset.remux import EncodedEpisode, RollingVideo, inspect_episode
from components.dataset.tables import RollingTable, TableFile, fresh
from components.dataset.totals import Totals
from components.dataset.video import encode_episode, encoder_settings

_MB = 1 << 20
# Episodes whose rows are held until a row group of metadata is written.
_GROUP = 64


class DatasetWriter:
    """A LeRobot v3.0 tree under way in `root`, which opens as a dataset only after `close`.

    Episodes may come in any order; the order decides `episode_index` and nothing else. Writes into `root` directly, so
    give it a folder that takes its final place when it is whole (`core.files.replace_dir`). Used as a context manager
    it lets go of its files where the block raises.
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
        if totals is None and (root / layout.INFO).exists():
            raise DatasetError("holds a dataset already", where=str(root), hint="Use `resume` to add episodes to it")
        self.root = root
        self.embodiment = embodiment
        self.fps = fps
        self.video = video
        self.totals = totals or Totals()
        self._limits = int(data_file_mb * _MB), int(video_file_mb * _MB)
        self._tables: dict[str, RollingTable] = {}
        self._videos: dict[str, RollingVideo] = {}
        self._own: dict[str, TableFile] = {}
        self._rows: list[dict[str, Any]] = []
        self._own_rows: dict[str, list[dict[str, Any]]] = {layout.OWN_EPISODES: [], layout.OWN_STREAMS: []}
        self._state = "open"
        if totals is not None:
            self._keep_own_rows()

    @property
    def features(self) -> layout.Features:
        return layout.build_features(self.embodiment, self.fps, self.video, self.totals.extras or {})

    def add(self, episode: EpisodeFrames, encoded: dict[str, bytes] | None = None) -> None:
        """Writes one episode; `encoded`: camera -> what `encode_episode` made of its frames, encoded here where absent.

        Raises `DatasetError` and writes nothing where the episode does not fit the embodiment, differs in features from
        the ones before, is there already, or where `encoded` does not hold its frames.
        """
        if self._state != "open":
            raise DatasetError(f"the writer is {self._state}", where=str(self.root))
        self._require_fit(episode)
        videos = {camera: self._encoded(episode, camera, encoded) for camera in self.embodiment.observation.cameras}
        self._state = "broken"  # until every file has the episode
        self.totals.extras = _extras(episode)
        self._open()
        self._write(episode, videos)
        self._state = "open"

    def close(
        self,
        *,
        inputs: dict[str, str] | None = None,
        params: dict[str, Any] | None = None,
        counts: dict[str, float] | None = None,
    ) -> str:
        """Completes the tree and returns the dataset digest; the arguments go into record.json.

        Whatever else belongs into the tree must lie there before: files.json covers all of it.
        """
        if self._state != "open":
            raise DatasetError(f"the writer is {self._state}", where=str(self.root))
        if not self.totals.episodes:
            raise DatasetError("no episode was added", where=str(self.root), hint="Look at why all were quarantined")
        self._open()
        self._flush()
        self._release()
        for name in self._own:
            _partial(self.root, name).replace(self.root / name)
        self._state = "closed"
        return write_metadata(
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

    def abort(self) -> None:
        """Lets go of all files; what lies in `root` is not a dataset (or, when resumed, still the old one)."""
        if self._state != "closed":
            self._release()
            self._state = "aborted"

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.abort()

    def _require_fit(self, episode: EpisodeFrames) -> None:
        self.totals.require_new(episode.episode_id)
        seen = self.embodiment.observation
        extras = _extras(episode)
        frame = (seen.image_px, seen.image_px, 3)
        pairs = [
            ("embodiment", episode.row["embodiment"], self.embodiment.name),
            ("cameras", sorted(episode.images), sorted(seen.cameras)),
            ("state width", episode.state.shape[1], len(seen.state_names)),
            ("action width", episode.action.shape[1], self.embodiment.action.dim),
            ("extras", extras, extras if self.totals.extras is None else self.totals.extras),
        ]
        pairs += [(f"frame of {camera}", frames.shape[1:], frame) for camera, frames in episode.images.items()]
        for name, found, expected in pairs:
            if found != expected:
                where = episode.row["source_uri"] or episode.episode_id
                raise DatasetError(f"{name}: {found!r}, expected {expected!r}", where=where)

    def _encoded(self, episode: EpisodeFrames, camera: str, encoded: dict[str, bytes] | None) -> EncodedEpisode:
        where = f"{episode.row['source_uri'] or episode.episode_id} ({camera})"
        if encoded is not None and camera not in encoded:
            raise DatasetError("no encoded video for this camera", where=where)
        data = encoded[camera] if encoded else encode_episode(episode.images[camera], self.fps, self.video)
        video = inspect_episode(data, where=where)
        found, expected = (video.frames, video.height, video.width), episode.images[camera].shape[:3]
        if found != expected:
            raise DatasetError(f"encoded video is {found} (frames, height, width), expected {expected}", where=where)
        return video

    def _open(self) -> None:
        if self._tables:
            return
        self.root.mkdir(parents=True, exist_ok=True)
        data_limit, video_limit = self._limits
        features, first = self.features, self.totals.files
        for kind, template, schema in (
            ("data", layout.DATA_PATH, layout.data_schema(features)),
            ("episodes", layout.EPISODES_PATH, layout.episodes_schema(features)),
        ):
            self._tables[kind] = RollingTable(self.root, template, schema, data_limit, first.get(kind, 0))
        for key in layout.video_keys(features):
            self._videos[key] = RollingVideo(self.root, key, self.fps, video_limit, first.get(key, 0))
        for name, schema in layout.OWN_SCHEMAS.items():
            self._own[name] = TableFile(fresh(_partial(self.root, name)), schema)

    def _write(self, episode: EpisodeFrames, videos: dict[str, EncodedEpisode]) -> None:
        totals, length, first = self.totals, len(episode), self.totals.frames
        words = episode.instruction or episode.task
        columns = episode_columns(
            episode,
            fps=self.fps,
            episode_index=totals.episodes,
            first=first,
            task_index=totals.task_index(words),
        )
        stats = episode_stats(episode, columns)
        row: dict[str, Any] = {"episode_index": totals.episodes, "tasks": [words], "length": length}
        row |= _prefixed("data", self._tables["data"].write(data_table(columns, self.features)))
        row |= {"dataset_from_index": first, "dataset_to_index": first + length}
        for camera, video in videos.items():
            where, start = self._videos[image_key(camera)].append(video)
            times = {"from_timestamp": start / self.fps, "to_timestamp": (start + length) / self.fps}
            row |= _prefixed(f"videos/{image_key(camera)}", {**where, **times})
        self._rows.append(row | stats_row(stats))
        self._own_rows[layout.OWN_EPISODES].append(_own_row(episode, totals.episodes))
        self._own_rows[layout.OWN_STREAMS] += [{"episode_id": episode.episode_id, **s} for s in episode.streams]
        mark = fingerprint(episode.episode_id, episode.pixel_sha256, episode.frames_sha256)
        totals.count(episode.episode_id, mark, length, stats)
        if len(self._rows) >= _GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            table = self._tables["episodes"]
            where = _prefixed("meta/episodes", table.reserve(len(self._rows)))
            schema = layout.episodes_schema(self.features)
            table.write(pa.Table.from_pylist([row | where for row in self._rows], schema=schema))
            self._rows = []
        for name, rows in self._own_rows.items():
            if rows:
                self._own[name].write(pa.Table.from_pylist(rows, schema=layout.OWN_SCHEMAS[name]))
                self._own_rows[name] = []

    def _keep_own_rows(self) -> None:
        self._open()
        for name, file in self._own.items():
            file.copy_from(self.root / name)

    def _release(self) -> None:
        files: list[RollingTable | RollingVideo | TableFile] = [*self._tables.values(), *self._videos.values()]
        for file in files + list(self._own.values()):
            file.close()


def _extras(episode: EpisodeFrames) -> dict[str, tuple[str, int]]:
    return {key: (str(values.dtype), values.shape[1]) for key, values in episode.extras.items()}


def _partial(root: Path, name: str) -> Path:
    path = root / name
    return path.with_name(f".{path.name}.partial")


def _prefixed(prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    return {f"{prefix}/{key}": value for key, value in values.items()}


def _own_row(episode: EpisodeFrames, episode_index: int) -> dict[str, Any]:
    return {
        "episode_id": episode.episode_id,
        "pixel_sha256": episode.pixel_sha256,
        "frames_sha256": episode.frames_sha256,
        "episode_index": episode_index,
        "length": len(episode),
        "task": episode.task,
        "instruction": episode.instruction,
        **episode.row,
    }
