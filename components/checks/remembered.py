"""Rows that an earlier run measured: a night's check reads the new episodes, not all that there ever were.

What is remembered only saves time. A row is taken up again where the code that measures, the robot, the episode and the
files in which it lies are the same; then it holds what measuring it again would give.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.core.files import digest_json, fsync, sha256_file
from components.dataset import layout
from components.dataset.commit import resolve
from components.dataset.index_schema import video_prefix
from components.dataset.reader import Dataset

# Below the state of a workspace.
CACHE = "cache/measures.parquet"
KEY = "key"
_SETTINGS = b"gripline.settings"


@cache
def code_digest() -> str:
    """sha256 over the source files that turn frames into a row."""
    root = Path(__file__).parent
    files = [root / "channels.py", root / "reduce.py", *sorted((root / "measure").glob("*.py"))]
    files.append(root.parent / "dataset" / "luma.py")
    lines = [f"{path.relative_to(root.parent).as_posix()} {sha256_file(path)}\n" for path in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def settings_of(dataset: Dataset, **numbers: Any) -> str:
    """What besides the episode decides its row."""
    return digest_json({"code": code_digest(), "robot": dataset.embodiment.digest, "fps": dataset.fps, **numbers})


def keys_of(dataset: Dataset) -> pa.Array:
    """Per episode: who it is and the size and age of the files that hold it, as one string."""
    table = dataset.table(["episode_id", "frames_sha256", "pixel_sha256"])
    parts = [table[name].combine_chunks().cast(pa.string()) for name in table.column_names]
    return pc.binary_join_element_wise(*parts, *_file_stamps(dataset), " ")


def recall(path: Path | None, settings: str) -> pa.Table | None:
    """The rows in `path`; None where there are none, or none that can be read or were measured under these settings."""
    if path is None or not path.is_file():
        return None
    try:
        if (pq.read_schema(path).metadata or {}).get(_SETTINGS) != settings.encode():
            return None
        return _bare(pq.read_table(path))
    except (OSError, pa.ArrowException):
        return None


def remember(path: Path, table: pa.Table, settings: str) -> None:
    """Replaces what was remembered, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    pq.write_table(table.replace_schema_metadata({_SETTINGS: settings.encode()}), partial, compression="zstd")
    fsync(partial)
    partial.replace(path)


def _bare(table: pa.Table) -> pa.Table:
    """Without what a file adds to its columns, so that they are as they were when they were measured."""
    types = [pa.list_(kind.value_type) if pa.types.is_list(kind) else kind for kind in table.schema.types]
    return table.cast(pa.schema(list(zip(table.column_names, types, strict=True))))


def _file_stamps(dataset: Dataset) -> list[pa.Array]:
    """One array per kind of file that holds numbers or pictures of episodes."""
    kinds = {"data": layout.DATA_PATH}
    for camera in dataset.cameras:
        key = layout.image_key(camera)
        kinds[video_prefix(key)] = layout.video_path(key)
    return [_stamps(dataset, prefix, template) for prefix, template in kinds.items()]


def _stamps(dataset: Dataset, prefix: str, template: str) -> pa.Array:
    numbers = [np.asarray(dataset.index.numbers(f"{prefix}/{name}")) for name in ("chunk_index", "file_index")]
    places, inverse = np.unique(np.stack(numbers, axis=1), axis=0, return_inverse=True)
    stamps = [_stamp(resolve(dataset.root, template.format(chunk_index=c, file_index=f))) for c, f in places.tolist()]
    return pa.array(stamps).take(pa.array(inverse.reshape(-1)))


def _stamp(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return "absent"
    return f"{found.st_size}.{found.st_mtime_ns}.{found.st_ino}"
