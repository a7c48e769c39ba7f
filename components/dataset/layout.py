"""LeRobot v3.0 on disk: names, limits, features, schemas. Pure: reads and writes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from components.core.params import Video
from components.core.spec import Embodiment
from components.dataset.frames import STREAM_COLUMNS
from components.dataset.stats import STAT_NAMES
from components.dataset.video import video_info

CODEBASE_VERSION = "v3.0"
CHUNKS_SIZE = 1000
DATA_FILES_MB = 100
VIDEO_FILES_MB = 200

INFO = "meta/info.json"
STATS = "meta/stats.json"
TASKS = "meta/tasks.parquet"
EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"

OWN = "meta/gripline"
OWN_EPISODES = f"{OWN}/episodes.parquet"
OWN_SOURCES = f"{OWN}/sources.parquet"
OWN_TOTALS = f"{OWN}/totals.json"
OWN_EMBODIMENT = f"{OWN}/embodiment.json"
OWN_FILES = f"{OWN}/files.json"
OWN_RECORD = f"{OWN}/record.json"
STREAMS_PATH = f"{OWN}/streams/chunk-{{chunk_index:03d}}/file-{{file_index:03d}}.parquet"
SKETCHES_PATH = f"{OWN}/sketches/chunk-{{chunk_index:03d}}/file-{{file_index:03d}}.parquet"
DEPTH_PATH = f"{OWN}/depth/{{camera}}/chunk-{{chunk_index:03d}}/file-{{file_index:03d}}.mp4"
CALIBRATION_PATH = f"{OWN}/calibrations/{{digest}}.json"
# files.json covers everything but itself and the record, which holds the sha256 of files.json.
UNLISTED = (OWN_FILES, OWN_RECORD)
# Files below these change only where episodes are deleted or renumbered.
WRITTEN_ONCE = ("data/", "videos/", "meta/episodes/", f"{OWN}/streams/", f"{OWN}/sketches/", f"{OWN}/depth/")

STATE = "observation.state"
ACTION = "action"
TIME = "observation.time"
AUTO_FEATURES = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}
# What these hold depends on the order in which the episodes came, and so do not belong into the statistics of all.
PLACE_FEATURES = ("episode_index", "index", "task_index")

Features = dict[str, dict[str, Any]]


def image_key(camera: str) -> str:
    return f"observation.images.{camera}"


def build_features(embodiment: Embodiment, fps: int, video: Video, extras: dict[str, tuple[str, int]]) -> Features:
    """The `features` of info.json; `extras` maps a feature key to its dtype and width."""
    seen = embodiment.observation
    features: Features = {}
    for camera in seen.cameras:
        features[image_key(camera)] = {
            "dtype": "video",
            "shape": [seen.image_px, seen.image_px, 3],
            "names": ["height", "width", "channels"],
            "info": video_info(video, height=seen.image_px, width=seen.image_px, fps=fps),
        }
    features[STATE] = {"dtype": "float32", "shape": [len(seen.state_names)], "names": list(seen.state_names)}
    for key in sorted(extras):
        dtype, width = extras[key]
        features[key] = {"dtype": dtype, "shape": [width], "names": None}
    features[TIME] = {"dtype": "float64", "shape": [1], "names": None}
    features[ACTION] = {
        "dtype": "float32",
        "shape": [embodiment.action.dim],
        "names": list(embodiment.action.names),
    }
    for key, dtype in AUTO_FEATURES.items():
        features[key] = {"dtype": dtype, "shape": [1], "names": None}
    return features


def video_keys(features: Features) -> list[str]:
    return [key for key, feature in features.items() if feature["dtype"] == "video"]


def column_type(feature: dict[str, Any]) -> pa.DataType:
    """A scalar for shape (1,), a fixed-size list for a vector."""
    (width,) = feature["shape"]
    value = pa.type_for_alias(feature["dtype"])
    return value if width == 1 else pa.list_(value, width)


def data_schema(features: Features) -> pa.Schema:
    return pa.schema([(key, column_type(feature)) for key, feature in features.items() if feature["dtype"] != "video"])


def _stat_type(feature: dict[str, Any], stat: str) -> pa.DataType:
    if stat == "count":
        return pa.list_(pa.int64())
    if feature["dtype"] == "video":
        return pa.list_(pa.list_(pa.list_(pa.float64())))
    return pa.list_(pa.int64() if feature["dtype"].startswith("int") and stat in ("min", "max") else pa.float64())


def episodes_schema(features: Features) -> pa.Schema:
    """Columns of meta/episodes, statistics included."""
    fields = [
        ("episode_index", pa.int64()),
        ("tasks", pa.list_(pa.string())),
        ("length", pa.int64()),
        ("data/chunk_index", pa.int64()),
        ("data/file_index", pa.int64()),
        ("dataset_from_index", pa.int64()),
        ("dataset_to_index", pa.int64()),
    ]
    for key in video_keys(features):
        fields += [(f"videos/{key}/{name}_index", pa.int64()) for name in ("chunk", "file")]
        fields += [(f"videos/{key}/{name}_timestamp", pa.float64()) for name in ("from", "to")]
    for key, feature in features.items():
        fields += [(f"stats/{key}/{stat}", _stat_type(feature, stat)) for stat in STAT_NAMES]
    fields += [(f"meta/episodes/{name}_index", pa.int64()) for name in ("chunk", "file")]
    return pa.schema(fields)


def own_streams_schema() -> pa.Schema:
    """Columns of meta/gripline/streams: what each recorded stream of an episode was like."""
    fields = [(name, pa.string()) for name in ("episode_id", "stream", "kind")]
    kinds = {name: pa.int64() for name in ("count", "backwards", "duplicates", "gaps", "nan_count")}
    return pa.schema(fields + [(name, kinds.get(name, pa.float64())) for name in STREAM_COLUMNS[2:]])


# The files that were looked at, and what became of each episode in them; `code`, `detail`: why it was left out.
SOURCES_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("uri", "sha256", "format", "part", "episode_id", "code", "detail")]
)


def build_info(
    features: Features, *, fps: int, robot_type: str, episodes: int, frames: int, tasks: int
) -> dict[str, Any]:
    """meta/info.json. `episodes`: rows of meta/episodes, those of deleted ones too; `frames`: those that are there."""
    return {
        "codebase_version": CODEBASE_VERSION,
        "robot_type": robot_type,
        "fps": fps,
        "features": features,
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "chunks_size": CHUNKS_SIZE,
        "data_files_size_in_mb": DATA_FILES_MB,
        "video_files_size_in_mb": VIDEO_FILES_MB,
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH if video_keys(features) else None,
        "splits": {"train": f"0:{episodes}"},
    }


def video_path(key: str) -> str:
    """Template of the files of one camera; it lacks the two indices."""
    return VIDEO_PATH.replace("{video_key}", key)


def depth_path(camera: str) -> str:
    """Template of the files of one depth camera; it lacks the two indices."""
    return DEPTH_PATH.replace("{camera}", camera)


def is_written_once(name: str) -> bool:
    return name.startswith(WRITTEN_ONCE)


def place(number: int) -> dict[str, int]:
    """Chunk and file index of the `number`-th file of a kind."""
    return {"chunk_index": number // CHUNKS_SIZE, "file_index": number % CHUNKS_SIZE}


def next_number(names: Iterable[str], template: str) -> int:
    """Number of the next file of a kind, where `names` are those of all files; `template` lacks the two indices."""
    head = template.rsplit("chunk-", 1)[0]
    found = (re.fullmatch(r"chunk-(\d+)/file-(\d+)\.\w+", name[len(head) :]) for name in names if name.startswith(head))
    return 1 + max((int(at[1]) * CHUNKS_SIZE + int(at[2]) for at in found if at), default=-1)
