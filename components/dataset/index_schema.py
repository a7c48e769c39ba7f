"""Columns of meta/gripline/episodes.parquet: who an episode is, where it came from, and where its bytes lie."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from components.dataset.frames import ROW_COLUMNS
from components.dataset.layout import Features, video_keys

# Rows of one row group: what is read to learn the strings of one episode.
GROUP_ROWS = 8192

EPISODE_COLUMNS = (
    "episode_id",
    "pixel_sha256",
    "frames_sha256",
    "episode_index",
    "length",
    "task",
    "instruction",
    *ROW_COLUMNS,
    "split",
)
# Strings that many episodes have in common.
SHARED_COLUMNS = tuple(
    name for name in ("task", "instruction", *ROW_COLUMNS, "split") if name not in ("source_sha256", "recorded_at")
)
# First frame of an episode that lacks a depth camera.
ABSENT = -1


def index_schema(features: Features, depth: Sequence[str]) -> pa.Schema:
    """One row an episode, ascending in `episode_index`; deleted ones have none. `depth`: the depth cameras.

    `dataset_from_index`: what the first frame has in the column `index`; `data/row`, `streams/row`: its first row in
    that file; `<video>/first_frame`: its first frame in that file, `ABSENT` where it has none.
    """
    whole = ("episode_index", "length")
    fields = [(name, pa.int64() if name in whole else pa.string()) for name in EPISODE_COLUMNS]
    fields.append(("dataset_from_index", pa.int64()))
    for prefix, names in place_columns(features, depth).items():
        fields += [(f"{prefix}/{name}", pa.int32()) for name in names]
    return pa.schema(fields)


def place_columns(features: Features, depth: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Kind of file -> names of the columns that say where in them an episode lies."""
    at = ("chunk_index", "file_index")
    videos = [video_prefix(key) for key in video_keys(features)] + [depth_prefix(camera) for camera in depth]
    places = {"data": (*at, "row"), "meta/episodes": at, "streams": (*at, "row", "count")}
    return places | dict.fromkeys(videos, (*at, "first_frame"))


def video_prefix(key: str) -> str:
    return f"videos/{key}"


def depth_prefix(camera: str) -> str:
    return f"depth/{camera}"
