"""Some episodes of a dataset or a manifest: as a manifest, or as a tree of their own."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from components.core.errors import DatasetError
from components.core.params import Video
from components.dataset import layout
from components.dataset.commit import tree_files
from components.dataset.edits.choose import chosen_parts
from components.dataset.edits.gather import require_absent, rows_of, write_manifest
from components.dataset.extract import extract
from components.dataset.parts import Part, parts_of
from components.dataset.writer import DatasetWriter


@dataclass(frozen=True)
class Subset:
    """`digest`: of the manifest, or of the tree."""

    out: Path
    digest: str
    episodes: int
    frames: int


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

    `params`: how they were chosen, for the record. Raises `UsageError` where `out` is there already.
    """
    chosen = {"subset": dict(params or {})}
    if copy:
        return _copy(parts, out, chosen)
    manifest = write_manifest(parts, out, params=chosen)
    return Subset(out, manifest.digest, manifest.totals["episodes"], manifest.totals["frames"])


def _copy(parts: Sequence[Part], out: Path, params: dict[str, Any]) -> Subset:
    first = parts[0].dataset
    for part in parts[1:]:
        _require_alike(parts[0], part)
    # A copy that was killed leaves what no commit made part of a tree.
    if out.is_dir() and not any(tree_files(out)):
        shutil.rmtree(out)
    require_absent(out)
    video = Video(**first.record.attrs["video"])
    try:
        with DatasetWriter(out, first.embodiment, first.fps, video) as writer:
            episodes = [(part.dataset, number) for part in parts for number in part.indices.tolist()]
            for dataset, number in tqdm(episodes, desc="copy", unit=" episodes", disable=None):
                writer.add(extract(dataset, number))
            digest = writer.close(
                _splits(parts),
                sources=_sources(parts),
                inputs={part.name: part.dataset.digest for part in parts},
                params=params,
            )
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)
        raise
    return Subset(out, digest, writer.totals.episodes, writer.totals.frames)


def _splits(parts: Sequence[Part]) -> dict[str, str]:
    tables = [rows_of(part, ["episode_id", "split"]) for part in parts]
    return {
        name: side
        for table in tables
        for name, side in zip(table["episode_id"].to_pylist(), table["split"].to_pylist(), strict=True)
    }


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
