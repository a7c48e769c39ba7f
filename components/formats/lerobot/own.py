"""What a tree that gripline wrote says beyond LeRobot's format: meta/gripline."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from components.core.errors import FormatError
from components.core.files import digest_json, sha256_file
from components.core.frames_digest import frames_sha256
from components.formats.lerobot.columns import BOOKKEEPING, Numbers
from components.formats.lerobot.info import read_json_object
from components.formats.lerobot.tables import row_batches, rows_of_episode
from components.formats.mapping import PROVENANCE_KEYS

EPISODES = "meta/gripline/episodes.parquet"
FILES = "meta/gripline/files.json"
CALIBRATION = "meta/gripline/calibrations/{digest}.json"
# What a writer that was killed within a commit leaves.
UNFINISHED = "meta/gripline/.committed"
_WORDS = ("task", "instruction")
_CHECKSUMS = ("episode_id", "frames_sha256")
_ORIGIN = ("source_uri", "source_sha256", "source_format")


def is_own(root: Path) -> bool:
    return (root / EPISODES).is_file()


def require_unchanged(root: Path, path: str, *, where: str) -> None:
    """Compares a file with files.json, where that lists it. Raises `FormatError` (bad_checksum, bad_metadata).

    Parquet and mp4 have no checksum of their own: a flipped byte reads back as another number.
    """
    listed = _listed(root / FILES, _stamp(root / FILES), f"{where}/{FILES}").get(path)
    if listed is not None and (root / path).is_file() and _sha256(root / path, _stamp(root / path)) != listed:
        raise FormatError(
            "differs from the checksum that it was written with",
            where=f"{where}/{path}",
            hint=f"Restore the file; or, if it was edited on purpose, delete {FILES}",
            code="bad_checksum",
        )


def is_listed(root: Path, path: str, *, where: str) -> bool:
    """Whether a file belongs to the dataset: what a broken-off writer left beside it does not."""
    listed = _listed(root / FILES, _stamp(root / FILES), f"{where}/{FILES}")
    return not listed or path in listed


@lru_cache(maxsize=4)
def _listed(path: Path, stamp: tuple[int, int], where: str) -> dict[str, str]:
    return read_json_object(path, where=where, code="bad_metadata") if stamp[0] >= 0 else {}


@lru_cache(maxsize=256)
def _sha256(path: Path, _stamp: tuple[int, int]) -> str:
    return sha256_file(path)


def _stamp(path: Path) -> tuple[int, int]:
    if not path.is_file():
        return -1, -1
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def own_row(root: Path, episode: int, *, where: str) -> dict[str, str]:
    """The row of an episode in episodes.parquet, text columns alone; {} where there is none. Raises `FormatError`."""
    if not is_own(root):
        return {}
    require_unchanged(root, EPISODES, where=where)
    place = f"{where}/{EPISODES}"
    names = [*_CHECKSUMS, *_WORDS, "embodiment", *_ORIGIN, *PROVENANCE_KEYS]
    rows = rows_of_episode(root / EPISODES, episode, where=place)
    for batch in row_batches(rows, names, where=place):
        row = batch.to_pylist()[0]
        return {name: value for name, value in row.items() if isinstance(value, str)}
    return {}


def metadata(row: Mapping[str, str]) -> dict[str, str]:
    """Words, embodiment and provenance as `assemble.build_episode` takes them; what it was made of goes to `extra`."""
    kept = {name: row[name] for name in (*_WORDS, "embodiment", *PROVENANCE_KEYS) if name in row}
    return kept | {f"original_{name}": row[name] for name in _ORIGIN if row.get(name)}


def carried_id(row: Mapping[str, str], columns: Mapping[str, Numbers]) -> str:
    """The id of the episode where numbers and words still have the checksum that they were written with, else ""."""
    if not all(row.get(name) for name in _CHECKSUMS):
        return ""
    numbers = {
        name: values if name == "observation.time" or values.ndim == 2 else values[:, None]
        for name, values in columns.items()
        if name not in BOOKKEEPING and np.asarray(values).dtype.kind in "fiu"
    }
    found = frames_sha256(numbers, [row.get(name, "") for name in _WORDS])
    return row["episode_id"] if found == row["frames_sha256"] else ""


def calibration(root: Path, row: Mapping[str, str], *, where: str) -> dict[str, Any]:
    """The calibration that a row names by its digest; {} where there is none. Raises `FormatError` (bad_checksum)."""
    digest = row.get("calibration_digest", "")
    name = CALIBRATION.format(digest=digest)
    if not digest.isalnum() or not (root / name).is_file():
        return {}
    found = read_json_object(root / name, where=f"{where}/{name}", code="bad_metadata").get("calibration")
    if not isinstance(found, dict) or digest_json(found) != digest:
        raise FormatError("differs from the digest in its name", where=f"{where}/{name}", code="bad_checksum")
    return found
