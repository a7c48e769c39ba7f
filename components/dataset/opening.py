"""What has to hold before a tree counts as a dataset; each breach has a message of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from components.core.errors import ContractError, DatasetError, RecordError
from components.core.files import read_json
from components.core.records import Record, read_record
from components.core.spec import Embodiment, embodiment_from_dict
from components.dataset import layout
from components.dataset.identity import dataset_digest, fingerprint

_AGAIN = "Restore the tree or run ingest again"


@dataclass(frozen=True)
class OpenedMetadata:
    """`places`: one dict an episode, the columns of meta/episodes without statistics, plus "data/first_index"."""

    info: dict[str, Any]
    record: Record
    embodiment: Embodiment
    episodes: pd.DataFrame
    places: list[dict[str, Any]]


def open_metadata(root: Path) -> OpenedMetadata:
    """Reads and cross-checks everything but frames. Raises `DatasetError`."""
    info = _read_info(root)
    try:
        record = read_record(root / layout.OWN, kind="dataset")
    except RecordError as error:
        raise DatasetError(f"the tree is not complete: {error}", where=str(root), hint=_AGAIN) from error
    embodiment = _read_embodiment(root)
    _require_equal(root, "fps", info["fps"], record.attrs.get("fps"))
    _require_equal(root, "robot_type", info["robot_type"], embodiment.name)
    episodes = _read_table(root, layout.OWN_EPISODES, layout.own_episodes_schema().names).to_pandas()
    places = _read_places(root, info)
    _require_counts(root, info, episodes, places)
    _require_files(root, info, places)
    _require_digest(root, info, record, embodiment, episodes)
    return OpenedMetadata(info, record, embodiment, episodes, places)


def _read_info(root: Path) -> dict[str, Any]:
    path = root / layout.INFO
    info = _read_json(root, layout.INFO)
    version = info.get("codebase_version")
    if version != layout.CODEBASE_VERSION:
        raise DatasetError(f"version {version!r}, expected {layout.CODEBASE_VERSION!r}", where=str(path))
    keys = layout.build_info({}, fps=1, robot_type="", episodes=0, frames=0, tasks=0).keys()
    if missing := sorted(keys - info.keys()):
        raise DatasetError(f"lacks {', '.join(missing)}", where=str(path), hint=_AGAIN)
    for name in ("data_path", "video_path"):
        _require_equal(root, name, info[name], getattr(layout, name.upper()))
    return info


def _read_json(root: Path, name: str) -> dict[str, Any]:
    path = root / name
    if not path.is_file():
        hint = "Run the ingest stage first" if name == layout.INFO else _AGAIN
        raise DatasetError(f"not a dataset, there is no {name}", where=str(root), hint=hint)
    try:
        value = read_json(path)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DatasetError(f"not JSON: {error}", where=str(path), hint=_AGAIN) from error
    if not isinstance(value, dict):
        raise DatasetError(f"holds a {type(value).__name__}, expected an object", where=str(path), hint=_AGAIN)
    return value


def _read_embodiment(root: Path) -> Embodiment:
    value = _read_json(root, layout.OWN_EMBODIMENT)
    try:
        return embodiment_from_dict(value)
    except (KeyError, TypeError, ValueError, ContractError) as error:
        raise DatasetError(f"not an embodiment: {error}", where=str(root / layout.OWN_EMBODIMENT)) from error


def _read_table(root: Path, name: str, columns: list[str]) -> pa.Table:
    path = root / name
    try:
        table = pq.read_table(path, columns=columns)
    except FileNotFoundError as error:
        raise DatasetError(f"there is no {name}", where=str(root), hint=_AGAIN) from error
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"unreadable: {error}", where=str(path), hint=_AGAIN) from error
    if missing := sorted(set(columns) - set(table.column_names)):
        raise DatasetError(f"lacks the columns {', '.join(missing)}", where=str(path), hint=_AGAIN)
    return table


def _read_places(root: Path, info: dict[str, Any]) -> list[dict[str, Any]]:
    names = [name for name in layout.episodes_schema(info["features"]).names if not name.startswith("stats/")]
    # files.json decides, not the folder: what an abandoned `resume` left there belongs to no dataset.
    files = sorted(name for name in _read_json(root, layout.OWN_FILES) if name.startswith("meta/episodes/"))
    rows = [row for file in files for row in _read_table(root, file, names).to_pylist()]
    first: dict[tuple[int, int], int] = {}
    for row in rows:
        row["data/first_index"] = first.setdefault(
            (row["data/chunk_index"], row["data/file_index"]), row["dataset_from_index"]
        )
    return rows


def _require_counts(root: Path, info: dict[str, Any], episodes: pd.DataFrame, places: list[dict[str, Any]]) -> None:
    _require_equal(root, "rows of meta/episodes", len(places), info["total_episodes"])
    _require_equal(root, f"rows of {layout.OWN_EPISODES}", len(episodes), info["total_episodes"])
    start = 0
    for index, (place, own) in enumerate(zip(places, episodes.to_dict("records"), strict=True)):
        _require_equal(root, "episode_index in meta/episodes", place["episode_index"], index)
        _require_equal(root, f"episode_index in {layout.OWN_EPISODES}", own["episode_index"], index)
        _require_equal(root, f"length of episode {index}", own["length"], place["length"])
        _require_equal(root, f"first frame of episode {index}", place["dataset_from_index"], start)
        start += place["length"]
        _require_equal(root, f"last frame of episode {index}", place["dataset_to_index"], start)
    _require_equal(root, "frames in meta/episodes", start, info["total_frames"])


def _require_files(root: Path, info: dict[str, Any], places: list[dict[str, Any]]) -> None:
    needed = {layout.STATS, layout.TASKS, layout.OWN_STREAMS, layout.OWN_FILES}
    for place in places:
        needed.add(layout.DATA_PATH.format(**_at(place, "data")))
        for key in layout.video_keys(info["features"]):
            needed.add(layout.VIDEO_PATH.format(video_key=key, **_at(place, f"videos/{key}")))
    missing = sorted(name for name in needed if not (root / name).is_file())
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise DatasetError(f"missing: {', '.join(missing[:3])}{more}", where=str(root), hint=_AGAIN)


def _at(place: dict[str, Any], prefix: str) -> dict[str, int]:
    return {name: place[f"{prefix}/{name}"] for name in ("chunk_index", "file_index")}


def _require_digest(
    root: Path, info: dict[str, Any], record: Record, embodiment: Embodiment, episodes: pd.DataFrame
) -> None:
    marks = (
        fingerprint(*row)
        for row in zip(episodes["episode_id"], episodes["pixel_sha256"], episodes["frames_sha256"], strict=True)
    )
    found = dataset_digest(
        marks, embodiment_digest=embodiment.digest, fps=info["fps"], video=record.attrs.get("video", {})
    )
    _require_equal(root, "digest of the episodes", found, record.digest)


def _require_equal(root: Path, name: str, found: Any, expected: Any) -> None:
    if found != expected:
        raise DatasetError(f"{name}: {found!r}, expected {expected!r}", where=str(root), hint=_AGAIN)
