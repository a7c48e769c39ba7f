"""Whether the numbers in the table of episodes fit each other, info.json and the files that are there."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.errors import DatasetError
from components.core.spec import Embodiment
from components.dataset import layout
from components.dataset.commit import COMMITTED
from components.dataset.index import EpisodeIndex
from components.dataset.index_schema import ABSENT, depth_prefix, index_schema, place_columns, video_prefix

_AGAIN = "Restore the tree or run ingest again"
_ANEW = "Written by another version; run ingest again from the recordings"

Numbers = npt.NDArray[np.int64]


def require_equal(root: Path, name: str, found: Any, expected: Any) -> None:
    if found != expected:
        raise DatasetError(f"{name}: {found!r}, expected {expected!r}", where=str(root), hint=_AGAIN)


def require_names(index: EpisodeIndex, info: Mapping[str, Any], embodiment: Embodiment) -> None:
    """Raises `DatasetError` naming the columns that the table lacks."""
    expected = index_schema(info["features"], embodiment.observation.depth).names
    if missing := [name for name in expected if name not in index.names]:
        raise DatasetError(f"lacks the columns {', '.join(missing)}", where=str(index.path), hint=_ANEW)


def require_sizes(index: EpisodeIndex, info: Mapping[str, Any], next_episode: int, next_frame: int) -> None:
    """Episode numbers ascend, frames do not overlap, and both end where the totals say. Raises `DatasetError`."""
    numbers, lengths, starts = index.indices, index.lengths, index.numbers("dataset_from_index")
    _require_each(index, "length", lengths, lengths >= 1, "at least 1")
    _require_each(index, "episode_index", numbers, np.diff(numbers, prepend=-1) > 0, "more than that before it")
    before = np.concatenate([[0], (starts + lengths)[:-1]])
    _require_each(index, "dataset_from_index", starts, starts >= before, "what those before it end with, or more")
    require_equal(index.root, f"frames in {layout.OWN_EPISODES}", int(lengths.sum()), info["total_frames"])
    require_equal(index.root, "total_episodes", info["total_episodes"], next_episode)
    if len(numbers) and (numbers[-1] >= next_episode or starts[-1] + lengths[-1] > next_frame):
        found = f"episode {numbers[-1]} ends at frame {starts[-1] + lengths[-1]}"
        raise DatasetError(f"{found}, after what {layout.OWN_TOTALS} ends with", where=str(index.root), hint=_AGAIN)


def require_index(
    index: EpisodeIndex, info: Mapping[str, Any], embodiment: Embodiment, listed: Mapping[str, str]
) -> None:
    """Episodes of one file follow each other in it, and every file is listed and there. Raises `DatasetError`."""
    keys, depth = layout.video_keys(info["features"]), embodiment.observation.depth
    templates = {"data": layout.DATA_PATH, "meta/episodes": layout.EPISODES_PATH, "streams": layout.STREAMS_PATH}
    templates |= {video_prefix(key): layout.video_path(key) for key in keys}
    templates |= {depth_prefix(camera): layout.depth_path(camera) for camera in depth}
    needed: set[str] = set()
    for prefix, columns in place_columns(info["features"], depth).items():
        chunks, files = index.numbers(f"{prefix}/chunk_index"), index.numbers(f"{prefix}/file_index")
        numbers, there = chunks * np.int64(layout.CHUNKS_SIZE) + files, np.ones(len(index), bool)
        if prefix == "streams":
            there = index.numbers("streams/count") > 0
        first = "row" if "row" in columns else "first_frame"
        if first in columns:
            starts = index.numbers(f"{prefix}/{first}")
            there &= starts != ABSENT
            ends = starts + index.numbers(f"{prefix}/count" if prefix == "streams" else "length")
            _require_runs(index, f"{prefix}/{first}", there, numbers, starts, ends)
        needed |= {templates[prefix].format(**layout.place(number)) for number in np.unique(numbers[there]).tolist()}
    if unlisted := sorted(needed - listed.keys()):
        _raise_missing(index.root, f"{layout.OWN_FILES} does not list", unlisted)
    needed |= {layout.STATS, layout.TASKS} | {name for name in listed if layout.is_written_once(name)}
    if missing := sorted(missing_files(index.root, needed)):
        _raise_missing(index.root, "missing:", missing)


def _require_runs(
    index: EpisodeIndex, name: str, there: npt.NDArray[np.bool_], files: Numbers, starts: Numbers, ends: Numbers
) -> None:
    """Each starts where the one before it in the same file ends, the first of a file at 0."""
    rows = np.flatnonzero(there)
    files, starts, ends = files[rows], starts[rows], ends[rows]
    same = np.diff(files, prepend=-1) == 0
    expected = np.where(same, np.concatenate([[0], ends[:-1]]), 0) if len(rows) else starts
    wrong = np.flatnonzero(starts != expected)
    if len(wrong):
        at = int(wrong[0])
        episode = int(index.indices[rows[at]])
        require_equal(index.root, f"{name} of episode {episode}", int(starts[at]), int(expected[at]))


def _require_each(index: EpisodeIndex, name: str, values: Numbers, right: npt.NDArray[np.bool_], expected: str) -> None:
    wrong = np.flatnonzero(~right)
    if len(wrong):
        row = int(wrong[0])
        found = f"{name} of row {row} is {values[row]}, expected {expected}"
        raise DatasetError(found, where=str(index.path), hint=_AGAIN)


def missing_files(root: Path, names: Iterable[str]) -> set[str]:
    """Those of `names` that the tree does not have; looks at folders, not at single files."""
    folders: dict[str, set[str]] = defaultdict(set)
    for name in names:
        folder, _, file = name.rpartition("/")
        folders[folder].add(file)
    missing: set[str] = set()
    for folder, files in folders.items():
        # In this order: a file that is moved from one to the other meanwhile is seen at least once.
        there = _files_in(root / COMMITTED / folder)
        there |= _files_in(root / folder)
        missing |= {f"{folder}/{file}" for file in files - there}
    return missing


def _files_in(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except (FileNotFoundError, NotADirectoryError):
        return set()


def _raise_missing(root: Path, what: str, names: list[str]) -> None:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    raise DatasetError(f"{what} {', '.join(names[:3])}{more}", where=str(root), hint=_AGAIN)
