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
from components.dataset.close import require_splits, stage_metadata, with_splits, write_table
from components.dataset.commit import COMMITTED, STAGED, publish, recover
from components.dataset.fit import extras_of, fitting_depth, fitting_videos, require_fit
from components.dataset.frames import EpisodeFrames
from components.dataset.lock import acquire, release
from components.dataset.pending import Pending
from components.dataset.prepare import prepare
from components.dataset.prepared import PreparedEpisode
from components.dataset.totals import Totals
from components.dataset.video import encoder_settings

_MB = 1 << 20


class DatasetWriter:
    """Adds episodes to a LeRobot v3.0 tree in `root`; they are part of it from the next `commit` or `close` on.

    Episodes may come in any order; the order decides `episode_index` and nothing else. Killed at any moment, the tree
    opens with what it held at the last commit. Used as a context manager it drops what was not committed. Until it is
    closed or aborted no other process can write to the tree: `Busy`.
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
        acquire(root)
        try:
            if totals is None and ((root / layout.INFO).exists() or (root / COMMITTED).exists()):
                raise DatasetError(
                    "holds a dataset already", where=str(root), hint="Use `resume` to add episodes to it"
                )
            recover(root)
        except BaseException:
            release(root)
            raise
        self.root = root
        self.embodiment = embodiment
        self.fps = fps
        self.video = video
        self.totals = totals or Totals()
        self._limits = int(data_file_mb * _MB), int(video_file_mb * _MB)
        self._state = "open"
        self._pending = self._start()

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
        self._pending.add(episode, videos, depth, self.features)
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
        require_splits(splits or {}, self.totals.ids)
        self._state = "broken"
        self.totals.own_episodes = with_splits(self._pending.finish(self.root, self.features), splits or {})
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
        self._pending = self._start()
        self._state = "open"
        return digest

    def close(self, splits: Mapping[str, str] | None = None, **arguments: Any) -> str:
        """`commit`, after which the writer takes no more."""
        digest = self.commit(splits, **arguments)
        self._state = "closed"
        release(self.root)
        return digest

    def abort(self) -> None:
        """Drops what was added since the last commit; without one, what lies in `root` is not a dataset."""
        if self._state not in ("closed", "aborted"):
            self._state = "aborted"
            try:
                self._pending.close()
                recover(self.root)
            finally:
                release(self.root)

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.abort()

    def _require_open(self) -> None:
        if self._state != "open":
            raise DatasetError(f"the writer is {self._state}", where=str(self.root))

    def _start(self) -> Pending:
        """Nothing is open and nothing is held since the last commit."""
        table_bytes, video_bytes = self._limits
        return Pending(
            self.root, self.embodiment, self.fps, self.totals, table_bytes=table_bytes, video_bytes=video_bytes
        )
