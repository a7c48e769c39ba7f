"""What a tree says about where its episodes came from, once some of them are deleted."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.core.files import read_json, read_lines, write_bytes, write_json
from components.dataset import layout
from components.dataset.close import stage_metadata, write_table
from components.dataset.commit import resolve
from components.dataset.deleted import DELETED, OWN_DELETED, OWN_QUARANTINE, deleted_lines, read_deleted
from components.dataset.opening import read_table
from components.dataset.reader import Dataset
from components.dataset.totals import Totals


def stage_sources(dataset: Dataset, ids: Collection[str], reason: str, staged: Path) -> int:
    """Says of each part of a source that held one of the episodes that it was deleted, so that ingest leaves it alone.

    Doubles of theirs, which were set aside, count as deleted too; returns how many these were.
    """
    deleted = read_deleted(dataset.root) | dict.fromkeys(ids, reason)
    write_bytes(staged / OWN_DELETED, deleted_lines(deleted))
    if layout.OWN_SOURCES not in dataset.listed:
        return 0
    table = read_table(dataset.root, layout.OWN_SOURCES, layout.SOURCES_SCHEMA.names)
    theirs = pc.is_in(table["episode_id"], value_set=pa.array(sorted(ids), pa.string()))
    doubles = {_name(row) for row in table.filter(theirs).to_pylist() if row["code"] not in ("", DELETED)}
    for column, value in (("code", DELETED), ("detail", "")):
        changed = pc.if_else(theirs, value, table[column])
        table = table.set_column(table.column_names.index(column), column, changed)
    write_table(staged / layout.OWN_SOURCES, table.cast(layout.SOURCES_SCHEMA))
    _stage_quarantine(dataset, doubles, staged)
    return len(doubles)


def stage_edited(dataset: Dataset, totals: Totals, doubles: int = 0) -> str:
    """The metadata of an edited dataset; returns the digest. `doubles`: sources that are quarantined no longer."""
    record = dataset.record
    return stage_metadata(
        dataset.root,
        embodiment=dataset.embodiment,
        fps=dataset.fps,
        video=record.attrs["video"],
        features=dataset.features,
        totals=totals,
        inputs=record.inputs,
        params=record.params,
        counts=_counts_after(dataset, totals.episodes, doubles),
    )


def _counts_after(dataset: Dataset, episodes: int, doubles: int) -> dict[str, float]:
    """What the record counts beside episodes and frames."""
    counts = {name: n for name, n in dataset.record.counts.items() if name not in ("episodes", "frames")}
    if {"episodes_in", "quarantined"} <= counts.keys():
        counts["quarantined"] -= doubles
        counts["episodes_in"] = episodes + counts["quarantined"]
    return counts


def stage_calibrations(dataset: Dataset, doomed: npt.NDArray[np.bool_], staged: Path) -> list[str]:
    """Returns the files of calibrations that nothing uses any more, and dates those that were in use earlier."""
    used = dataset.table(["calibration_digest", "recorded_at"])
    gone, rest = used.filter(pa.array(doomed)), used.filter(pa.array(~doomed))
    unused = []
    for digest in filter(None, pc.unique(gone["calibration_digest"]).to_pylist()):
        name = layout.CALIBRATION_PATH.format(digest=digest)
        if name not in dataset.listed:
            continue
        times = rest.filter(pc.equal(rest["calibration_digest"], digest))["recorded_at"].to_pylist()
        if not times:
            unused.append(name)
            continue
        entry = read_json(resolve(dataset.root, name))
        first = min(filter(None, times), default="")
        if first != entry["first_recorded_at"]:
            write_json(staged / name, entry | {"first_recorded_at": first})
    return unused


def remaining_tasks(tasks: Mapping[str, int], dataset: Dataset, doomed: npt.NDArray[np.bool_]) -> dict[str, int]:
    """Tasks by number; LeRobot looks them up by position, so one that nothing uses any more keeps its place unnamed."""
    table = dataset.table(["task", "instruction"])
    words = pc.if_else(pc.equal(table["instruction"], ""), table["task"], table["instruction"])
    gone, rest = (set(pc.unique(words.filter(pa.array(mask))).to_pylist()) for mask in (doomed, ~doomed))
    return {f"deleted-{number}" if task in gone - rest else task: number for task, number in tasks.items()}


def _stage_quarantine(dataset: Dataset, doubles: Collection[str], staged: Path) -> None:
    path = resolve(dataset.root, OWN_QUARANTINE)
    if doubles and path.is_file():
        kept = [line for line in read_lines(path) if line["source"] not in doubles]
        lines = (json.dumps(line, sort_keys=True, ensure_ascii=False) for line in kept)
        write_bytes(staged / OWN_QUARANTINE, "".join(f"{line}\n" for line in lines).encode())


def _name(row: Mapping[str, str]) -> str:
    return f"{row['uri']}#{row['part']}" if row["part"] else row["uri"]
