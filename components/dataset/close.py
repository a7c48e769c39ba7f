"""The last step of a commit: the metadata that turns a folder of files into a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.core.errors import DatasetError
from components.core.files import sha256_file, write_json
from components.core.records import Record, write_record
from components.core.spec import Embodiment
from components.dataset import layout
from components.dataset.columns import stats_as_json
from components.dataset.commit import STAGED, files_below, removed, resolve, tree_files
from components.dataset.frames import SPLITS
from components.dataset.identity import dataset_digest, fingerprints
from components.dataset.index_schema import GROUP_ROWS, SHARED_COLUMNS
from components.dataset.totals import Totals


def stage_metadata(
    root: Path,
    *,
    embodiment: Embodiment,
    fps: int,
    video: dict[str, Any],
    features: layout.Features,
    totals: Totals,
    inputs: dict[str, str],
    params: dict[str, Any],
    counts: dict[str, float],
) -> str:
    """Writes tables, tasks, statistics, info, file list and record of `totals` to the staged files of `root`.

    Returns the dataset digest, and leaves the file list in `totals.known`.
    """
    staged, index = root / STAGED, totals.own_episodes
    if index is None or not index.num_rows:
        raise DatasetError("no episode is left", where=str(root))
    write_index(staged / layout.OWN_EPISODES, index)
    _write_tasks(staged / layout.TASKS, totals.tasks)
    stats = {key: totals.stats[key].result() for key in features if key not in layout.PLACE_FEATURES}
    write_json(staged / layout.STATS, stats_as_json(stats))
    write_json(staged / layout.OWN_TOTALS, totals.as_dict())
    write_json(staged / layout.OWN_EMBODIMENT, embodiment.as_dict())
    info = layout.build_info(
        features,
        fps=fps,
        robot_type=embodiment.name,
        episodes=totals.next_episode,
        frames=totals.frames,
        tasks=len(totals.tasks),
    )
    write_json(staged / layout.INFO, info)
    totals.known = list_files(root, totals.known)
    write_json(staged / layout.OWN_FILES, totals.known)
    digest = dataset_digest(fingerprints(index), embodiment_digest=embodiment.digest, fps=fps, video=video)
    record = Record(
        kind="dataset",
        digest=digest,
        inputs=inputs,
        params=params,
        counts={"episodes": totals.episodes, "frames": totals.frames, **counts},
        attrs={"fps": fps, "video": video, "files_sha256": sha256_file(staged / layout.OWN_FILES)},
    )
    write_record(staged / layout.OWN, record)
    return digest


def list_files(root: Path, known: Mapping[str, str]) -> dict[str, str]:
    """files.json: the files of the tree and the staged ones; what is written once keeps the sha256 that is known."""
    staged, gone = set(files_below(root / STAGED)), removed(root / STAGED)
    listed = {name: known[name] for name in known if layout.is_written_once(name) and name not in gone}
    others = {name for name in tree_files(root) - staged - gone if not layout.is_written_once(name)}
    listed |= {name: sha256_file(resolve(root, name)) for name in others}
    listed |= {name: sha256_file(root / STAGED / name) for name in staged}
    return {name: listed[name] for name in sorted(listed) if name not in layout.UNLISTED}


def require_splits(splits: Mapping[str, str], ids: Set[str]) -> None:
    """Raises `DatasetError` for an unknown split or episode."""
    if wrong := sorted(set(splits.values()) - set(SPLITS)):
        raise DatasetError(f"split is {wrong[0]!r}, expected one of {', '.join(SPLITS)}")
    if unknown := sorted(splits.keys() - ids):
        raise DatasetError(f"a split for episode {unknown[0][:12]}, which is not in the dataset")


def with_splits(own_episodes: pa.Table, splits: Mapping[str, str]) -> pa.Table:
    """The rows of episodes.parquet with other splits: episode_id -> split."""
    if not splits:
        return own_episodes
    at = pc.index_in(own_episodes["episode_id"], value_set=pa.array(splits.keys(), pa.string()))
    chosen = pc.coalesce(pa.array(splits.values(), pa.string()).take(at), own_episodes["split"])
    return own_episodes.set_column(own_episodes.column_names.index("split"), "split", chosen)


def write_index(path: Path, table: pa.Table) -> None:
    """meta/gripline/episodes.parquet: in row groups of some thousand rows, each of its columns read on its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Hashes differ from row to row: a dictionary of them would be another copy.
    pq.write_table(
        table,
        path,
        row_group_size=GROUP_ROWS,
        compression="zstd",
        use_dictionary=list(SHARED_COLUMNS),
        write_statistics=["episode_index"],
    )


def write_table(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="snappy")


def _write_tasks(path: Path, tasks: dict[str, int]) -> None:
    # LeRobot reads the task strings from the pandas index.
    pd.DataFrame({"task_index": list(tasks.values())}, index=list(tasks)).to_parquet(path)
