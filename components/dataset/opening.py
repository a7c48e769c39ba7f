"""What has to hold before a tree counts as a dataset; each breach has a message of its own.

The cost grows with the numbers in the table of episodes alone: no string of it and no row of meta/episodes is read.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.core.errors import ContractError, DatasetError, RecordError
from components.core.files import sha256_bytes, sha256_file
from components.core.records import Record, parse_record
from components.core.spec import Embodiment, embodiment_from_dict
from components.dataset import layout
from components.dataset.commit import COMMITTED, located
from components.dataset.consistency import require_equal, require_index, require_names, require_sizes
from components.dataset.index import EpisodeIndex
from components.dataset.manifest import is_manifest
from components.dataset.names import require_inside
from components.dataset.totals import next_files_of

AGAIN = "Restore the tree or run ingest again"
# A commit that goes on meanwhile, or that a killed writer left halfway: then what is wrong may be wrong for good.
_ATTEMPTS = 20
_UNCHANGED_ATTEMPTS = 5
_PAUSE_S = 0.02
_ABSENT = (FileNotFoundError, IsADirectoryError, NotADirectoryError)

Digests = dict[str, str]


@dataclass(frozen=True)
class OpenedMetadata:
    """`listed`: files.json; `next_episode`, `next_frame`, `next_files`: the numbers with which a writer would go on."""

    info: dict[str, Any]
    record: Record
    embodiment: Embodiment
    index: EpisodeIndex
    listed: Mapping[str, str]
    next_episode: int
    next_frame: int
    next_files: Mapping[str, int]


def open_metadata(root: Path) -> OpenedMetadata:
    """Reads and cross-checks what is needed to find every frame. Raises `DatasetError`."""
    unchanged = 0
    for attempt in range(1, _ATTEMPTS + 1):
        before = _seal(root)
        try:
            return _open(root)
        except DatasetError:
            # A commit in between makes one file older than the next; then the tree is read once more.
            after = _seal(root)
            unchanged = unchanged + 1 if after == before else 0
            enough = _UNCHANGED_ATTEMPTS if after[0] else 1
            if attempt == _ATTEMPTS or unchanged >= enough:
                raise
        time.sleep(_PAUSE_S)
    raise AssertionError("unreachable")


def _seal(root: Path) -> tuple[bool, str]:
    """Changes with every commit, and when the last file of one has taken its place."""
    try:
        return (root / COMMITTED).exists(), located(root, layout.OWN_RECORD, sha256_file)
    except OSError:
        return (root / COMMITTED).exists(), ""


def _open(root: Path) -> OpenedMetadata:
    # sha256 of the bytes that were read: what lies there may be newer by the time it is looked at again.
    read: Digests = {}
    info = _read_info(root, read)
    record = _read_record(root)
    embodiment = _read_embodiment(root, read)
    require_equal(root, "fps", info["fps"], record.attrs.get("fps"))
    require_equal(root, "robot_type", info["robot_type"], embodiment.name)
    listed = _read_listed(root, record)
    index = EpisodeIndex(root)
    require_equal(root, f"rows of {layout.OWN_EPISODES}", len(index), record.counts.get("episodes"))
    totals = _read_totals(root, listed)
    ends = totals.get("next_episode_index", -1), totals.get("next_frame_index", -1)
    require_names(index, info, embodiment)
    require_sizes(index, info, *ends)
    require_index(index, info, embodiment, listed)
    # Last, since what is wrong inside has a better name than its hash.
    read[layout.OWN_EPISODES] = located(root, layout.OWN_EPISODES, sha256_file)
    for name, digest in read.items():
        _require_unchanged(root, listed, name, digest)
    return OpenedMetadata(info, record, embodiment, index, listed, *ends, next_files=next_files_of(totals))


def _read_info(root: Path, read: Digests) -> dict[str, Any]:
    path = root / layout.INFO
    info = _read_json(root, layout.INFO, read)
    version = info.get("codebase_version")
    if version != layout.CODEBASE_VERSION:
        raise DatasetError(f"version {version!r}, expected {layout.CODEBASE_VERSION!r}", where=str(path))
    keys = layout.build_info({}, fps=1, robot_type="", episodes=0, frames=0, tasks=0).keys()
    if missing := sorted(keys - info.keys()):
        raise DatasetError(f"lacks {', '.join(missing)}", where=str(path), hint=AGAIN)
    for name in ("data_path", "video_path"):
        # A robot without cameras has no videos.
        expected = getattr(layout, name.upper()) if name == "data_path" or layout.video_keys(info["features"]) else None
        require_equal(root, name, info[name], expected)
    return info


def _read_json(root: Path, name: str, read: Digests) -> dict[str, Any]:
    """Leaves in `read` the sha256 of what it read."""
    try:
        data = located(root, name, Path.read_bytes)
    except _ABSENT as error:
        raise _no_dataset(root, name) from error
    read[name] = sha256_bytes(data)
    return _as_object(root / name, data)


def _no_dataset(root: Path, name: str) -> DatasetError:
    """What lies at `root` instead of a tree that has the file `name`."""
    found, hint = f"not a dataset, there is no {name}", AGAIN
    if not root.exists():
        found, hint = "no such folder", "Look at the path, or run the ingest stage first"
    elif not root.is_dir():
        found, hint = "a file, a dataset is a folder", "`gripline ingest` makes a dataset of recordings"
    elif is_manifest(root):
        found, hint = "a manifest of datasets, which this command does not take", "Give a dataset that it names"
    elif name == layout.INFO:
        hint = "Run the ingest stage first"
    return DatasetError(found, where=str(root), hint=hint)


def _read_record(root: Path) -> Record:
    try:
        data = located(root, layout.OWN_RECORD, Path.read_bytes)
    except _ABSENT as error:
        found = f"the tree is not complete: no record.json in {layout.OWN}"
        raise DatasetError(found, where=str(root), hint=AGAIN) from error
    try:
        return parse_record(data, root / layout.OWN_RECORD, kind="dataset")
    except RecordError as error:
        raise DatasetError(f"the tree is not complete: {error}", where=str(root), hint=AGAIN) from error


def _read_totals(root: Path, listed: Mapping[str, str]) -> dict[str, Any]:
    name = layout.OWN_TOTALS
    try:
        data = located(root, name, Path.read_bytes)
    except _ABSENT as error:
        raise DatasetError(f"missing: {name}", where=str(root), hint=AGAIN) from error
    _require_unchanged(root, listed, name, sha256_bytes(data))
    return _as_object(root / name, data)


def read_as_opened(root: Path, name: str, listed: Mapping[str, str]) -> dict[str, Any]:
    """A JSON file of the tree that has to be the one that `listed` (files.json) names. Raises `DatasetError`."""
    try:
        data = located(root, name, Path.read_bytes)
    except _ABSENT:
        data = b""
    if sha256_bytes(data) != listed.get(name):
        raise DatasetError(f"{name} has changed since it was opened", where=str(root), hint="Open it again")
    return _as_object(root / name, data)


def _as_object(path: Path, data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DatasetError(f"not JSON: {error}", where=str(path), hint=AGAIN) from error
    if not isinstance(value, dict):
        raise DatasetError(f"holds a {type(value).__name__}, expected an object", where=str(path), hint=AGAIN)
    return value


def _read_embodiment(root: Path, read: Digests) -> Embodiment:
    value = _read_json(root, layout.OWN_EMBODIMENT, read)
    try:
        return embodiment_from_dict(value)
    except (KeyError, TypeError, ValueError, ContractError) as error:
        raise DatasetError(f"not an embodiment: {error}", where=str(root / layout.OWN_EMBODIMENT)) from error


def _read_listed(root: Path, record: Record) -> dict[str, str]:
    path = root / layout.OWN_FILES
    try:
        data = located(root, layout.OWN_FILES, Path.read_bytes)
    except _ABSENT as error:
        raise DatasetError(f"there is no {layout.OWN_FILES}", where=str(root), hint=AGAIN) from error
    if sha256_bytes(data) != record.attrs.get("files_sha256"):
        raise DatasetError("differs from what the record was sealed over", where=str(path), hint=AGAIN)
    listed = _as_object(path, data)
    require_inside(root, listed)
    return listed


def _require_unchanged(root: Path, listed: Mapping[str, str], name: str, digest: str) -> None:
    if digest != listed.get(name):
        raise DatasetError("changed since it was written", where=str(root / name), hint=AGAIN)


def read_table(root: Path, name: str, columns: list[str]) -> pa.Table:
    """Columns of a parquet file of the tree. Raises `DatasetError` where it or one of them is missing."""
    path = root / name
    try:
        table = located(root, name, lambda at: pq.read_table(at, columns=columns))
    except FileNotFoundError as error:
        raise DatasetError(f"there is no {name}", where=str(root), hint=AGAIN) from error
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"unreadable: {error}", where=str(path), hint=AGAIN) from error
    if missing := sorted(set(columns) - set(table.column_names)):
        raise DatasetError(f"lacks the columns {', '.join(missing)}", where=str(path), hint=AGAIN)
    return table
