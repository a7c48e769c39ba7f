"""Whether a tree is byte for byte what was sealed, and whether its tables say the same; reads every file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.core.errors import DatasetError
from components.core.files import read_json, sha256_file
from components.dataset import layout
from components.dataset.commit import resolve, tree_files
from components.dataset.consistency import require_equal
from components.dataset.identity import IDENTITY_COLUMNS, dataset_digest, fingerprints
from components.dataset.index_schema import video_prefix

if TYPE_CHECKING:
    from components.dataset.reader import Dataset

_AGAIN = "Restore the tree (dvc checkout) or run ingest again"


def verify(dataset: Dataset) -> None:
    """Raises `DatasetError` naming what changed, went missing or was added, or which tables disagree."""
    _require_files(dataset)
    _require_digest(dataset)
    _require_metadata(dataset)


def _require_files(dataset: Dataset) -> None:
    root = dataset.root
    path = resolve(root, layout.OWN_FILES)
    if sha256_file(path) != dataset.record.attrs.get("files_sha256"):
        raise DatasetError("differs from what the record was sealed over", where=str(path), hint=_AGAIN)
    names = tree_files(root).difference(layout.UNLISTED)
    expected, found = read_json(path), {name: sha256_file(resolve(root, name)) for name in names}
    wrong = [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
    wrong += [f"{name} is not listed" for name in sorted(found.keys() - expected.keys())]
    wrong += [f"{name} changed" for name in sorted(expected.keys() & found.keys()) if expected[name] != found[name]]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise DatasetError("; ".join(wrong[:5]) + more, where=str(root), hint=_AGAIN)


def _require_digest(dataset: Dataset) -> None:
    found = dataset_digest(
        fingerprints(dataset.table(IDENTITY_COLUMNS)),
        embodiment_digest=dataset.embodiment.digest,
        fps=dataset.fps,
        video=dataset.record.attrs.get("video", {}),
    )
    require_equal(dataset.root, "digest of the episodes", found, dataset.digest)


def _require_metadata(dataset: Dataset) -> None:
    """meta/episodes, which other readers of the format go by, says the same; deleted episodes have no frames there."""
    keys = layout.video_keys(dataset.features)
    names = ["episode_index", "length", "dataset_from_index", "dataset_to_index"]
    names += [f"{prefix}/{name}_index" for prefix in ("data", "meta/episodes") for name in ("chunk", "file")]
    for key in keys:
        names += [f"videos/{key}/{name}" for name in ("chunk_index", "file_index", "from_timestamp", "to_timestamp")]
    files = [name for name in sorted(dataset.listed) if name.startswith("meta/episodes/")]
    rows = pa.concat_tables([pq.read_table(resolve(dataset.root, name), columns=names) for name in files])
    found = {name: rows[name].to_numpy() for name in names}
    require_equal(dataset.root, "rows of meta/episodes", rows.num_rows, dataset.info["total_episodes"])
    _compare(dataset, "episode_index", found["episode_index"], np.arange(rows.num_rows), np.arange(rows.num_rows))
    lengths = np.zeros(rows.num_rows, np.int64)
    lengths[dataset.indices] = dataset.lengths
    _compare(dataset, "length", found["length"], lengths, np.arange(rows.num_rows))
    for name, expected in _promised(dataset, keys).items():
        _compare(dataset, name, found[name][dataset.indices], expected, dataset.indices)


def _promised(dataset: Dataset, keys: list[str]) -> Mapping[str, Any]:
    """Columns of meta/episodes [N] as they follow from the table of episodes."""
    number = dataset.index.numbers
    starts = number("dataset_from_index")
    promised = {"dataset_from_index": starts, "dataset_to_index": starts + dataset.lengths}
    for prefix in ("data", "meta/episodes", *map(video_prefix, keys)):
        promised |= {f"{prefix}/{name}_index": number(f"{prefix}/{name}_index") for name in ("chunk", "file")}
    for prefix in map(video_prefix, keys):
        first = number(f"{prefix}/first_frame").astype(np.int64)
        promised[f"{prefix}/from_timestamp"] = first / dataset.fps
        promised[f"{prefix}/to_timestamp"] = (first + dataset.lengths) / dataset.fps
    return promised


def _compare(dataset: Dataset, name: str, found: Any, expected: Any, episodes: Any) -> None:
    wrong = np.flatnonzero(found != expected)
    if len(wrong):
        at = int(wrong[0])
        what = f"{name} of episode {episodes[at]} in meta/episodes"
        require_equal(dataset.root, what, found[at].item(), expected[at].item())
