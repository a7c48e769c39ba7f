"""The last step of a write: the metadata that turns a folder of files into a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from components.core.files import fsync_dir, sha256_file, tree_manifest, write_json
from components.core.records import Record, write_record
from components.core.spec import Embodiment
from components.dataset import layout
from components.dataset.columns import stats_as_json
from components.dataset.identity import dataset_digest
from components.dataset.totals import Totals

# files.json covers everything but itself and the record, which holds the sha256 of files.json.
UNLISTED = (layout.OWN_FILES, layout.OWN_RECORD)


def write_metadata(
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
    """Writes tasks, statistics, info, file list and, last of all, the record. Returns the dataset digest."""
    _write_tasks(root / layout.TASKS, totals.tasks)
    stats = {key: totals.stats[key].result() for key in features}
    write_json(root / layout.STATS, stats_as_json(stats))
    write_json(root / layout.OWN_EMBODIMENT, embodiment.as_dict())
    info = layout.build_info(
        features,
        fps=fps,
        robot_type=embodiment.name,
        episodes=totals.episodes,
        frames=totals.frames,
        tasks=len(totals.tasks),
    )
    write_json(root / layout.INFO, info)
    write_json(root / layout.OWN_FILES, tree_manifest(root, skip=UNLISTED))
    digest = dataset_digest(totals.fingerprints.values(), embodiment_digest=embodiment.digest, fps=fps, video=video)
    record = Record(
        kind="dataset",
        digest=digest,
        inputs=inputs,
        params=params,
        counts={"episodes": totals.episodes, "frames": totals.frames, **counts},
        attrs={"fps": fps, "video": video, "files_sha256": sha256_file(root / layout.OWN_FILES)},
    )
    write_record(root / layout.OWN, record)
    fsync_dir(root)
    return digest


def _write_tasks(path: Path, tasks: dict[str, int]) -> None:
    # LeRobot reads the task strings from the pandas index.
    frame = pd.DataFrame({"task_index": list(tasks.values())}, index=list(tasks))
    temporary = path.with_name(f".{path.name}.partial")
    frame.to_parquet(temporary)
    temporary.replace(path)
