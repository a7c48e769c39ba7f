"""What has to hold before a tree counts as a dataset; each breach has a message of its own.

The cost grows with the numbers in the table of episodes alone: no string of it and no row of meta/episodes is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.core.errors import ContractError, DatasetError, RecordError
from components.core.files import sha256_bytes, sha256_file
from components.core.records import Record, read_record
from components.core.spec import Embodiment, embodiment_from_dict
from components.dataset import layout
from components.dataset.commit import COMMITTED, resolve
from components.dataset.consistency import require_equal, require_index, require_names, require_sizes
from components.dataset.index import EpisodeIndex

AGAIN = "Restore the tree or run ingest again"
_ATTEMPTS = 3


@dataclass(frozen=True)
class OpenedMetadata:
    """`listed`: files.json; `next_episode`, `next_frame`: the numbers with which a writer would go on."""

    info: dict[str, Any]
    record: Record
    embodiment: Embodiment
    index: EpisodeIndex
    listed: Mapping[str, str]
    next_episode: int
    next_frame: int


def open_metadata(root: Path) -> OpenedMetadata:
    """Reads and cross-checks what is needed to find every frame. Raises `DatasetError`."""
    for attempt in range(1, _ATTEMPTS + 1):
        before = _seal(root)
        try:
            return _open(root)
        except DatasetError:
            # A commit in between makes one file older than the next; then the tree is read once more.
            if attempt == _ATTEMPTS or _seal(root) == before:
                raise
    raise AssertionError("unreachable")


def _seal(root: Path) -> tuple[bool, str]:
    """Changes with every commit, and when the last file of one has taken its place."""
    path = resolve(root, layout.OWN_RECORD)
    try:
        return (root / COMMITTED).exists(), sha256_file(path)
    except OSError:
        return (root / COMMITTED).exists(), ""


def _open(root: Path) -> OpenedMetadata:
    info = _read_info(root)
    try:
        record = read_record(resolve(root, layout.OWN_RECORD).parent, kind="dataset")
    except RecordError as error:
        raise DatasetError(f"the tree is not complete: {error}", where=str(root), hint=AGAIN) from error
    embodiment = _read_embodiment(root)
    require_equal(root, "fps", info["fps"], record.attrs.get("fps"))
    require_equal(root, "robot_type", info["robot_type"], embodiment.name)
    listed = _read_listed(root, record)
    index = EpisodeIndex(root)
    require_equal(root, f"rows of {layout.OWN_EPISODES}", len(index), record.counts.get("episodes"))
    _require_unchanged(root, listed, layout.OWN_TOTALS)
    totals = _read_json(root, layout.OWN_TOTALS)
    ends = [totals.get(name, -1) for name in ("next_episode_index", "next_frame_index")]
    require_names(index, info, embodiment)
    require_sizes(index, info, *ends)
    require_index(index, info, embodiment, listed)
    # Last, since what is wrong inside has a better name than its hash.
    for name in (layout.INFO, layout.OWN_EMBODIMENT, layout.OWN_EPISODES):
        _require_unchanged(root, listed, name)
    return OpenedMetadata(info, record, embodiment, index, listed, *ends)


def _read_info(root: Path) -> dict[str, Any]:
    path = root / layout.INFO
    info = _read_json(root, layout.INFO)
    version = info.get("codebase_version")
    if version != layout.CODEBASE_VERSION:
        raise DatasetError(f"version {version!r}, expected {layout.CODEBASE_VERSION!r}", where=str(path))
    keys = layout.build_info({}, fps=1, robot_type="", episodes=0, frames=0, tasks=0).keys()
    if missing := sorted(keys - info.keys()):
        raise DatasetError(f"lacks {', '.join(missing)}", where=str(path), hint=AGAIN)
    for name in ("data_path", "video_path"):
        require_equal(root, name, info[name], getattr(layout, name.upper()))
    return info


def _read_json(root: Path, name: str) -> dict[str, Any]:
    path = resolve(root, name)
    if not path.is_file():
        hint = "Run the ingest stage first" if name == layout.INFO else AGAIN
        raise DatasetError(f"not a dataset, there is no {name}", where=str(root), hint=hint)
    return _as_object(path, path.read_bytes())


def _as_object(path: Path, data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DatasetError(f"not JSON: {error}", where=str(path), hint=AGAIN) from error
    if not isinstance(value, dict):
        raise DatasetError(f"holds a {type(value).__name__}, expected an object", where=str(path), hint=AGAIN)
    return value


def _read_embodiment(root: Path) -> Embodiment:
    value = _read_json(root, layout.OWN_EMBODIMENT)
    try:
        return embodiment_from_dict(value)
    except (KeyError, TypeError, ValueError, ContractError) as error:
        raise DatasetError(f"not an embodiment: {error}", where=str(root / layout.OWN_EMBODIMENT)) from error


def _read_listed(root: Path, record: Record) -> dict[str, str]:
    path = resolve(root, layout.OWN_FILES)
    if not path.is_file():
        raise DatasetError(f"there is no {layout.OWN_FILES}", where=str(root), hint=AGAIN)
    data = path.read_bytes()
    if sha256_bytes(data) != record.attrs.get("files_sha256"):
        raise DatasetError("differs from what the record was sealed over", where=str(path), hint=AGAIN)
    return _as_object(path, data)


def _require_unchanged(root: Path, listed: Mapping[str, str], name: str) -> None:
    path = resolve(root, name)
    if not path.is_file():
        raise DatasetError(f"missing: {name}", where=str(root), hint=AGAIN)
    if sha256_file(path) != listed.get(name):
        raise DatasetError("changed since it was written", where=str(path), hint=AGAIN)


def read_table(root: Path, name: str, columns: list[str]) -> pa.Table:
    """Columns of a parquet file of the tree. Raises `DatasetError` where it or one of them is missing."""
    path = resolve(root, name)
    try:
        table = pq.read_table(path, columns=columns)
    except FileNotFoundError as error:
        raise DatasetError(f"there is no {name}", where=str(root), hint=AGAIN) from error
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"unreadable: {error}", where=str(path), hint=AGAIN) from error
    if missing := sorted(set(columns) - set(table.column_names)):
        raise DatasetError(f"lacks the columns {', '.join(missing)}", where=str(path), hint=AGAIN)
    return table
