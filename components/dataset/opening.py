"""What has to hold before a tree counts as a dataset; each breach has a message of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from components.core.errors import ContractError, DatasetError, RecordError
from components.core.files import read_json
from components.core.records import Record, read_record
from components.core.spec import Embodiment, embodiment_from_dict
from components.dataset import layout
from components.dataset.commit import resolve
from components.dataset.identity import IDENTITY_COLUMNS, dataset_digest, fingerprint

_AGAIN = "Restore the tree or run ingest again"


@dataclass(frozen=True)
class OpenedMetadata:
    """`places`: meta/episodes without tasks and statistics, plus "data/first_index"; one row an episode."""

    info: dict[str, Any]
    record: Record
    embodiment: Embodiment
    episodes: pd.DataFrame
    places: pd.DataFrame


def open_metadata(root: Path) -> OpenedMetadata:
    """Reads and cross-checks everything but frames. Raises `DatasetError`."""
    info = _read_info(root)
    try:
        record = read_record(resolve(root, layout.OWN_RECORD).parent, kind="dataset")
    except RecordError as error:
        raise DatasetError(f"the tree is not complete: {error}", where=str(root), hint=_AGAIN) from error
    embodiment = _read_embodiment(root)
    _require_equal(root, "fps", info["fps"], record.attrs.get("fps"))
    _require_equal(root, "robot_type", info["robot_type"], embodiment.name)
    episodes = read_table(root, layout.OWN_EPISODES, layout.own_episodes_schema().names).to_pandas()
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
    path = resolve(root, name)
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


def read_table(root: Path, name: str, columns: list[str]) -> pa.Table:
    """Columns of a parquet file of the tree. Raises `DatasetError` where it or one of them is missing."""
    path = resolve(root, name)
    try:
        table = pq.read_table(path, columns=columns)
    except FileNotFoundError as error:
        raise DatasetError(f"there is no {name}", where=str(root), hint=_AGAIN) from error
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"unreadable: {error}", where=str(path), hint=_AGAIN) from error
    if missing := sorted(set(columns) - set(table.column_names)):
        raise DatasetError(f"lacks the columns {', '.join(missing)}", where=str(path), hint=_AGAIN)
    return table


def _read_places(root: Path, info: dict[str, Any]) -> pd.DataFrame:
    schema = layout.episodes_schema(info["features"])
    names = [name for name in schema.names if not name.startswith("stats/") and name != "tasks"]
    # files.json decides, not the folder: what an abandoned writer left there belongs to no dataset.
    files = sorted(name for name in _read_json(root, layout.OWN_FILES) if name.startswith("meta/episodes/"))
    if not files:
        raise DatasetError("files.json names no file of meta/episodes", where=str(root), hint=_AGAIN)
    places = pa.concat_tables([read_table(root, file, names) for file in files]).to_pandas()
    files_of_data = places.groupby(["data/chunk_index", "data/file_index"])
    places["data/first_index"] = files_of_data["dataset_from_index"].transform("min")
    return places


def _require_counts(root: Path, info: dict[str, Any], episodes: pd.DataFrame, places: pd.DataFrame) -> None:
    _require_equal(root, "rows of meta/episodes", len(places), info["total_episodes"])
    _require_equal(root, f"rows of {layout.OWN_EPISODES}", len(episodes), info["total_episodes"])
    indices, ends = np.arange(len(places)), np.cumsum(places["length"].to_numpy())
    starts = np.concatenate([[0], ends[:-1]])
    _require_column(root, "episode_index in meta/episodes", places["episode_index"], indices)
    _require_column(root, f"episode_index in {layout.OWN_EPISODES}", episodes["episode_index"], indices)
    _require_column(root, "length", episodes["length"], places["length"].to_numpy())
    _require_column(root, "first frame", places["dataset_from_index"], starts)
    _require_column(root, "last frame", places["dataset_to_index"], ends)
    _require_equal(root, "frames in meta/episodes", int(places["length"].sum()), info["total_frames"])


def _require_column(root: Path, name: str, found: pd.Series, expected: npt.NDArray[np.int64]) -> None:
    wrong = np.flatnonzero(found.to_numpy() != expected)
    if len(wrong):
        index = int(wrong[0])
        _require_equal(root, f"{name} of episode {index}", int(found.iloc[index]), int(expected[index]))


def _require_files(root: Path, info: dict[str, Any], places: pd.DataFrame) -> None:
    needed = {name for name in _read_json(root, layout.OWN_FILES) if layout.is_written_once(name)}
    needed |= {layout.STATS, layout.TASKS, layout.OWN_TOTALS}
    prefixes = {layout.DATA_PATH: "data"}
    prefixes |= {layout.video_path(key): f"videos/{key}" for key in layout.video_keys(info["features"])}
    for template, prefix in prefixes.items():
        at = places[[f"{prefix}/chunk_index", f"{prefix}/file_index"]].drop_duplicates()
        for chunk, file in at.itertuples(index=False):
            needed.add(template.format(chunk_index=chunk, file_index=file))
    missing = sorted(name for name in needed if not resolve(root, name).is_file())
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise DatasetError(f"missing: {', '.join(missing[:3])}{more}", where=str(root), hint=_AGAIN)


def _require_digest(
    root: Path, info: dict[str, Any], record: Record, embodiment: Embodiment, episodes: pd.DataFrame
) -> None:
    marks = (fingerprint(*row) for row in zip(*(episodes[name] for name in IDENTITY_COLUMNS), strict=True))
    found = dataset_digest(
        marks, embodiment_digest=embodiment.digest, fps=info["fps"], video=record.attrs.get("video", {})
    )
    _require_equal(root, "digest of the episodes", found, record.digest)


def _require_equal(root: Path, name: str, found: Any, expected: Any) -> None:
    if found != expected:
        raise DatasetError(f"{name}: {found!r}, expected {expected!r}", where=str(root), hint=_AGAIN)
