"""Some episodes of a dataset or a manifest: as a manifest, or as a tree of their own."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from components.core.errors import DatasetError
from components.core.params import Video
from components.dataset import layout
from components.dataset.commit import tree_files
from components.dataset.edits.choose import chosen_parts
from components.dataset.edits.gather import ids_held_out, require_absent, rows_of, write_manifest
from components.dataset.extract import extract
from components.dataset.lock import writing
from components.dataset.parts import Part, parts_of
from components.dataset.splits import hold_out
from components.dataset.writer import DatasetWriter


@dataclass(frozen=True)
class Subset:
    """`digest`: of the manifest, or of the tree; `moved_to_val`: see `write_manifest`."""

    out: Path
    digest: str
    episodes: int
    frames: int
    moved_to_val: int = 0


def subset(
    path: Path,
    wanted: Sequence[str | int],
    out: Path,
    *,
    copy: bool = False,
    at: Mapping[str, Path] | None = None,
    params: Mapping[str, Any] | None = None,
) -> Subset:
    """The episodes of these ids or, of a single dataset, numbers. `at`: see `parts_of`; the rest as `write_subset`."""
    return write_subset(chosen_parts(parts_of(path, at), wanted, where=str(path)), out, copy=copy, params=params)


def write_subset(
    parts: Sequence[Part], out: Path, *, copy: bool = False, params: Mapping[str, Any] | None = None
) -> Subset:
    """A manifest of the parts in `out`; with `copy` a tree that holds their bytes, whose episodes keep their ids.

    In either the same recording is on one side of the split, see `write_manifest`. `params`: how they were chosen, for
    the record. Raises `UsageError` where `out` is there already, and `Busy` where another process writes to it.
    """
    chosen = {"subset": dict(params or {})}
    if copy:
        return _copy(parts, out, chosen)
    manifest = write_manifest(parts, out, params=chosen)
    counts = manifest.totals
    return Subset(out, manifest.digest, counts["episodes"], counts["frames"], counts["moved_to_val"])


def _copy(parts: Sequence[Part], out: Path, params: dict[str, Any]) -> Subset:
    for part in parts[1:]:
        _require_alike(parts[0], part)
    with writing(out):
        # A copy that was killed leaves what no commit made part of a tree; with the lock held nobody is at work there.
        if out.is_dir() and not any(tree_files(out)):
            shutil.rmtree(out)
        require_absent(out)
        try:
            return _write_tree(parts, out, params)
        except BaseException:
            shutil.rmtree(out, ignore_errors=True)
            raise


def _write_tree(parts: Sequence[Part], out: Path, params: dict[str, Any]) -> Subset:
    first = parts[0].dataset
    splits, moved = _splits(parts)
    with DatasetWriter(out, first.embodiment, first.fps, Video(**first.record.attrs["video"])) as writer:
        episodes = [(part.dataset, number) for part in parts for number in part.indices.tolist()]
        for dataset, number in tqdm(episodes, desc="copy", unit=" episodes", disable=None):
            writer.add(extract(dataset, number))
        digest = writer.close(
            splits, sources=_sources(parts), inputs={part.name: part.dataset.digest for part in parts}, params=params
        )
    return Subset(out, digest, writer.totals.episodes, writer.totals.frames, moved)


def _splits(parts: Sequence[Part]) -> tuple[dict[str, str], int]:
    """The side of each episode by id, and how many are not on that which they had."""
    before = pa.concat_tables([rows_of(part, ["episode_id", "split"]) for part in parts])
    after = hold_out(before, ids_held_out(parts))
    moved = int(pc.sum(pc.not_equal(before["split"], after["split"])).as_py())
    return dict(zip(after["episode_id"].to_pylist(), after["split"].to_pylist(), strict=True)), moved


def _sources(parts: Sequence[Part]) -> list[dict[str, str]]:
    """Where the episodes were read from; what else their datasets looked at is left out."""
    rows: list[pd.DataFrame] = []
    for part in parts:
        ids = rows_of(part, ["episode_id"])["episode_id"].to_pylist()
        table = part.dataset.sources
        rows.append(table[table["episode_id"].isin(ids) & (table["code"] == "")])
    return [{str(name): str(value) for name, value in row.items()} for row in pd.concat(rows).to_dict("records")]


def _require_alike(one: Part, other: Part) -> None:
    for what, left, right in (
        ("embodiment", one.dataset.embodiment.digest, other.dataset.embodiment.digest),
        ("rate", one.dataset.fps, other.dataset.fps),
        ("video settings", one.dataset.record.attrs["video"], other.dataset.record.attrs["video"]),
        ("features", _numeric(one), _numeric(other)),
    ):
        if left != right:
            raise DatasetError(
                f"one tree cannot hold {one.name!r} and {other.name!r}, their {what} differ",
                where=str(other.dataset.root),
                hint="Make a manifest (without --copy)",
            )


def _numeric(part: Part) -> dict[str, Any]:
    features = part.dataset.features
    return {key: value for key, value in features.items() if key not in layout.video_keys(features)}
