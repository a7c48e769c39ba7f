"""Changes trees and seals them again, so that only what is compared besides hashes can find the change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.core.files import read_json, sha256_file, write_json
from components.core.records import read_record, write_record
from components.dataset import layout
from components.dataset.close import write_index
from components.dataset.commit import tree_files


def reseal(root: Path, **counts: float) -> None:
    """files.json and record of the tree as it is now; `counts`: of the record, where they changed."""
    names = sorted(tree_files(root).difference(layout.UNLISTED))
    write_json(root / layout.OWN_FILES, {name: sha256_file(root / name) for name in names})
    seal_listed(root, **counts)


def seal_listed(root: Path, **counts: float) -> None:
    """The record over files.json as it is."""
    record = read_record(root / layout.OWN)
    attrs = record.attrs | {"files_sha256": sha256_file(root / layout.OWN_FILES)}
    write_record(root / layout.OWN, replace(record, attrs=attrs, counts=record.counts | counts))


def edit_json(path: Path, change: Callable[[Any], Any]) -> None:
    """`change` alters what the file holds."""
    value = read_json(path)
    change(value)
    write_json(path, value)


def set_cell(table: pa.Table, name: str, row: int, value: Any) -> pa.Table:
    values = table[name].to_pylist()
    values[row] = value
    column = pa.array(values, table.schema.field(name).type)
    return table.set_column(table.column_names.index(name), name, column)


def edit_index(root: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """The table of episodes as `change` makes it, sealed."""
    path = root / layout.OWN_EPISODES
    write_index(path, change(pq.read_table(path)))
    reseal(root)


def drop_episode(root: Path, episode_index: int) -> None:
    """Takes one episode out of a tree in which every episode has files of its own; the other numbers stay."""
    index = pq.read_table(root / layout.OWN_EPISODES)
    gone = index.filter(pc.equal(index["episode_index"], episode_index)).to_pylist()[0]
    kept = index.filter(pc.not_equal(index["episode_index"], episode_index))
    write_index(root / layout.OWN_EPISODES, _without_streams(root, kept, gone))
    for prefix, template in _templates(root).items():
        at = {name: gone[f"{prefix}/{name}"] for name in ("chunk_index", "file_index")}
        (root / template.format(**at)).unlink()
    _bury(root, gone)
    frames = int(np.sum(kept["length"]))
    edit_json(root / layout.INFO, lambda info: info.update(total_frames=frames))
    reseal(root, episodes=kept.num_rows, frames=frames)


def _without_streams(root: Path, kept: pa.Table, gone: dict[str, Any]) -> pa.Table:
    """The index once the rows of streams and sketches of an episode have gone: those behind them move up."""
    for template in (layout.STREAMS_PATH, layout.SKETCHES_PATH):
        path = root / template.format(chunk_index=0, file_index=0)
        rows = pq.read_table(path)
        pq.write_table(rows.filter(pc.not_equal(rows["episode_id"], gone["episode_id"])), path)
    starts = kept["streams/row"].to_numpy()
    moved = np.where(starts > gone["streams/row"], starts - gone["streams/count"], starts)
    at = kept.column_names.index("streams/row")
    return kept.set_column(at, "streams/row", pa.array(moved, pa.int32()))


def _templates(root: Path) -> dict[str, str]:
    keys = layout.video_keys(read_json(root / layout.INFO)["features"])
    return {"data": layout.DATA_PATH} | {f"videos/{key}": layout.video_path(key) for key in keys}


def _bury(root: Path, gone: dict[str, Any]) -> None:
    """A row of length 0 in the place of that of the episode: other readers go by the position."""
    at = {name: gone[f"meta/episodes/{name}"] for name in ("chunk_index", "file_index")}
    path = root / layout.EPISODES_PATH.format(**at)
    rows = pq.read_table(path)
    row = rows["episode_index"].to_pylist().index(gone["episode_index"])
    rows = set_cell(set_cell(rows, "length", row, 0), "tasks", row, [])
    pq.write_table(set_cell(rows, "dataset_to_index", row, gone["dataset_from_index"]), path)
