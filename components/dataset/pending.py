"""What a writer has written since its last commit: open files below the staged folder, and rows that wait for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from components.core.spec import Embodiment
from components.dataset import layout
from components.dataset.calibrations import Calibrations
from components.dataset.columns import data_table, place_columns, stats_row, tick_columns
from components.dataset.commit import STAGED
from components.dataset.files import OpenFiles
from components.dataset.frames import SPLITS
from components.dataset.index_schema import ABSENT, depth_prefix, index_schema, video_prefix
from components.dataset.layout import image_key
from components.dataset.prepared import PreparedEpisode
from components.dataset.remux import EncodedEpisode
from components.dataset.sketch_files import sketch_row, write_sketches
from components.dataset.stats import numeric_stats
from components.dataset.totals import Totals

# Episodes whose rows are held until a row group of metadata is written.
_GROUP = 256

Videos = dict[str, EncodedEpisode]


class Pending:
    """Writes episodes to the staged files of `root`, and counts them in `totals`."""

    def __init__(
        self, root: Path, embodiment: Embodiment, fps: int, totals: Totals, *, table_bytes: int, video_bytes: int
    ) -> None:
        self._embodiment = embodiment
        self._fps = fps
        self._totals = totals
        self._files = OpenFiles(root / STAGED, fps, totals.files, table_bytes=table_bytes, video_bytes=video_bytes)
        self._calibrations = Calibrations()
        # One each an episode: of meta/episodes, of the index, of the sketches, and all that its streams have.
        self._rows: list[dict[str, Any]] = []
        self._own_rows: list[dict[str, Any]] = []
        self._sketches: list[dict[str, Any]] = []
        self._streams: list[list[dict[str, Any]]] = []
        self._tables: list[pa.Table] = []

    def add(self, episode: PreparedEpisode, videos: Videos, depth: Videos, features: layout.Features) -> None:
        """Writes one episode that fits; `videos`, `depth`: its cameras, looked at."""
        totals, length = self._totals, len(episode)
        words, number, first = episode.instruction or episode.task, totals.next_episode, totals.next_frame
        places = place_columns(length, episode_index=number, first=first, task_index=totals.task_index(words))
        columns = {**episode.columns, **tick_columns(length, self._fps), **places}
        at, row = self._files.table(layout.DATA_PATH, layout.data_schema(features)).write(data_table(columns, features))
        shared = {"episode_index": number, "length": length, "dataset_from_index": first, **_prefixed("data", at)}
        own = {**_identity(episode), **shared, "data/row": row}
        theirs = {**shared, "tasks": [words], "dataset_to_index": first + length}
        for camera, video in videos.items():
            key = image_key(camera)
            at, start = self._files.video(layout.video_path(key)).append(video)
            times = {"from_timestamp": start / self._fps, "to_timestamp": (start + length) / self._fps}
            theirs |= _prefixed(f"videos/{key}", at | times)
            own |= _prefixed(video_prefix(key), at | {"first_frame": start})
        stats = episode.stats | {key: numeric_stats(values) for key, values in places.items()}
        self._rows.append(theirs | stats_row(stats))
        self._own_rows.append(own | self._depth_places(depth))
        self._sketches.append(sketch_row(episode.episode_id, episode.sketches))
        self._streams.append([{"episode_id": episode.episode_id, **stream} for stream in episode.streams])
        self._calibrations.add(episode)
        totals.count(episode.episode_id, length, episode.stats, episode.sketches)
        if len(self._rows) >= _GROUP:
            self._flush(features)

    def finish(self, root: Path, features: layout.Features) -> pa.Table:
        """Completes the files; returns the index with the new rows."""
        self._flush(features)
        self._totals.files |= self._files.close()
        self._calibrations.stage(root)
        old = self._totals.own_episodes
        return pa.concat_tables([self._index_schema(features).empty_table() if old is None else old, *self._tables])

    def close(self) -> None:
        """Lets go of the files, whatever is in them."""
        self._files.close()

    def _depth_places(self, depth: Videos) -> dict[str, int]:
        places: dict[str, int] = {}
        for camera in self._embodiment.observation.depth:
            at, start = layout.place(0), ABSENT
            if camera in depth:
                at, start = self._files.video(layout.depth_path(camera)).append(depth[camera])
            places |= _prefixed(depth_prefix(camera), at | {"first_frame": start})
        return places

    def _index_schema(self, features: layout.Features) -> pa.Schema:
        return index_schema(features, self._embodiment.observation.depth)

    def _flush(self, features: layout.Features) -> None:
        if not self._rows:
            return
        schema = layout.episodes_schema(features)
        table = self._files.table(layout.EPISODES_PATH, schema)
        at = _prefixed("meta/episodes", table.reserve(len(self._rows))[0])
        table.write(pa.Table.from_pylist([row | at for row in self._rows], schema=schema))
        write_sketches(self._files, self._sketches, features)
        streams = self._write_streams()
        own = [row | at | place for row, place in zip(self._own_rows, streams, strict=True)]
        self._tables.append(pa.Table.from_pylist(own, schema=self._index_schema(features)))
        self._rows, self._own_rows, self._sketches, self._streams = [], [], [], []

    def _write_streams(self) -> list[dict[str, int]]:
        """Writes the rows that wait; returns where those of each episode lie."""
        rows = [row for streams in self._streams for row in streams]
        at, first = layout.place(0), 0
        if rows:
            schema = layout.own_streams_schema()
            table = pa.Table.from_pylist(rows, schema=schema)
            at, first = self._files.table(layout.STREAMS_PATH, schema).write(table)
        places = []
        for streams in self._streams:
            places.append(_prefixed("streams", at | {"row": first, "count": len(streams)}))
            first += len(streams)
        return places


def _prefixed(prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    return {f"{prefix}/{key}": value for key, value in values.items()}


def _identity(episode: PreparedEpisode) -> dict[str, str]:
    return {
        "episode_id": episode.episode_id,
        "pixel_sha256": episode.pixel_sha256,
        "frames_sha256": episode.frames_sha256,
        "task": episode.task,
        "instruction": episode.instruction,
        **episode.row,
        "split": SPLITS[0],
    }
