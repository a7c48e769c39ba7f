"""Writes a manifest of parts: names, digests and small metadata, no frame."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.core.errors import UsageError
from components.core.files import canonical_json, fsync, replace_dir, sha256_file
from components.core.records import Record, write_record
from components.dataset import layout
from components.dataset.close import write_index
from components.dataset.commit import resolve
from components.dataset.identity import dataset_digest, fingerprints
from components.dataset.index_schema import EPISODE_COLUMNS
from components.dataset.manifest import COPIED, Manifest, Member, manifest_digest, member_folder, require_name, uri_of
from components.dataset.members import Elsewhere, is_resplit
from components.dataset.outside import require_place
from components.dataset.parts import Part
from components.dataset.splits import TIES, held_out, hold_out


@dataclass(frozen=True)
class _Taken:
    """A member with the rows of its chosen episodes, in the order of their numbers."""

    member: Member
    part: Part
    rows: pa.Table

    @property
    def seconds(self) -> float:
        return self.member.frames / self.part.dataset.fps

    @property
    def moved(self) -> int:
        """Episodes that the manifest holds out and the part does not."""
        before = rows_of(self.part, ["split"])["split"]
        return int(pc.sum(pc.not_equal(before, self.rows["split"])).as_py())


def write_manifest(
    parts: Sequence[Part], out: Path, *, params: Mapping[str, Any] | None = None, on_val: pa.Array | None = None
) -> Manifest:
    """Makes `out` a manifest of the parts. Raises `UsageError` where `out` is there already.

    The same recording is never on both sides of the split: the manifest puts the episodes `on_val` there, which are
    `ids_held_out(parts)` unless given. Its copy of their rows says so, and so do the parts that are read from it; the
    datasets stay as they are. `totals["moved_to_val"]` counts those that were on the other side.
    `params`: what the record says about how the episodes were chosen.
    """
    require_absent(out)
    with replace_dir(out) as folder:
        manifest = fill_manifest(parts, folder, home=out, params=params, on_val=on_val)
    return Manifest(out, manifest.digest, manifest.members, manifest.totals, manifest.files)


def fill_manifest(
    parts: Sequence[Part],
    folder: Path,
    *,
    home: Path,
    params: Mapping[str, Any] | None = None,
    on_val: pa.Array | None = None,
) -> Manifest:
    """The same into a folder that will be renamed to `home`."""
    if not parts:
        raise UsageError("a manifest of nothing", where=str(home))
    on_val = ids_held_out(parts) if on_val is None else on_val
    taken = [_take(part, name, home, on_val) for part, name in zip(parts, _names(parts), strict=True)]
    files: dict[str, str] = {}
    for one in taken:
        copied = member_folder(folder, one.member.name)
        _copy_metadata(one, copied)
        files |= {path.relative_to(folder).as_posix(): sha256_file(path) for path in copied.rglob("*.*")}
    members = tuple(one.member for one in taken)
    manifest = Manifest(folder, _digest(taken), members, _totals(taken), dict(sorted(files.items())))
    record = Record(
        kind="manifest",
        digest=manifest.digest,
        inputs={member.name: member.digest for member in members},
        params=dict(params or {}),
        counts={"episodes": manifest.totals["episodes"], "frames": manifest.totals["frames"]},
    )
    write_record(folder, record)
    manifest.write()
    return manifest


def require_absent(out: Path) -> None:
    """Raises `UsageError` where `out` is there, or would lie inside a dataset, which lists all of its files."""
    if out.exists():
        raise UsageError("is there already", where=str(out), hint="Choose another folder, or remove it first")
    require_place(out)


def rows_of(part: Part, columns: Sequence[str]) -> pa.Table:
    """Columns of the index, one row for each episode of the part, by number."""
    table = part.dataset.table(columns)
    if len(part) == len(part.dataset):
        return table
    return table.filter(pa.array(np.isin(part.dataset.indices, part.indices)))


def ids_held_out(parts: Sequence[Part]) -> pa.Array:
    """Ids of the episodes that are held out, and of those that are the same recording as one of them.

    The same: equal ids, pixels or numbers, also by way of a third episode, whichever part it is in.
    """
    rows = pa.concat_tables([rows_of(part, [*TIES, "split"]) for part in parts])
    return pc.unique(rows["episode_id"].filter(pa.array(held_out(rows))))


def _take(part: Part, name: str, home: Path, on_val: pa.Array) -> _Taken:
    dataset = part.dataset
    rows = hold_out(rows_of(part, EPISODE_COLUMNS), on_val)
    sites = sorted(filter(None, pc.unique(rows["site"]).to_pylist()))
    member = Member(
        name=name,
        uri=dataset.uri_from(home) if isinstance(dataset, Elsewhere) else uri_of(dataset.root, home),
        digest=dataset.digest,
        embodiment=dataset.embodiment.name,
        embodiment_digest=dataset.embodiment.digest,
        sites=tuple(sites),
        episodes=len(part),
        frames=pc.sum(rows["length"]).as_py(),
        whole=len(part) == len(dataset) and (not isinstance(dataset, Elsewhere) or dataset.is_whole),
    )
    taken = _Taken(member, part, rows)
    return replace(taken, member=replace(member, resplit=is_resplit(dataset) or taken.moved > 0))


def _names(parts: Sequence[Part]) -> list[str]:
    """Names of the members: those of the parts, numbered where they repeat."""
    names: list[str] = []
    for part in parts:
        wanted = require_name(re.sub(r"[^A-Za-z0-9._-]", "-", part.name).lstrip(".-_") or "dataset")
        name, number = wanted, 2
        while name in names:
            name, number = f"{wanted}-{number}", number + 1
        names.append(name)
    return names


def _copy_metadata(taken: _Taken, folder: Path) -> None:
    dataset = taken.part.dataset
    for name in COPIED:
        # Statistics of all episodes say nothing about some of them.
        if not taken.member.whole and name in (layout.STATS, layout.OWN_TOTALS):
            continue
        source = dataset.copied / name if isinstance(dataset, Elsewhere) else resolve(dataset.root, name)
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    write_index(folder / layout.OWN_EPISODES, taken.rows)
    for path in sorted(folder.rglob("*"), reverse=True):
        fsync(path)


def _digest(taken: Iterable[_Taken]) -> str:
    """Members that were built alike count as one dataset."""
    alike: dict[tuple[str, int, str], list[str]] = {}
    for one in taken:
        dataset = one.part.dataset
        key = one.member.embodiment_digest, dataset.fps, canonical_json(dataset.record.attrs["video"])
        alike.setdefault(key, []).extend(fingerprints(one.rows))
    return manifest_digest(
        dataset_digest(marks, embodiment_digest=embodiment, fps=fps, video=json.loads(video))
        for (embodiment, fps, video), marks in alike.items()
    )


def _totals(taken: Sequence[_Taken]) -> dict[str, Any]:
    embodiments: dict[str, dict[str, Any]] = {}
    for one in taken:
        kind = embodiments.setdefault(
            one.member.embodiment_digest, {"name": one.member.embodiment, "episodes": 0, "frames": 0, "seconds": 0.0}
        )
        kind["episodes"] += one.member.episodes
        kind["frames"] += one.member.frames
        kind["seconds"] += one.seconds
    rows = pa.concat_tables([one.rows.select(["task", "site"]) for one in taken])
    counts = {name: _counts(rows[name]) for name in ("task", "site")}
    return {
        "episodes": sum(one.member.episodes for one in taken),
        "frames": sum(one.member.frames for one in taken),
        "embodiments": embodiments,
        "tasks": counts["task"],
        "sites": counts["site"],
        "moved_to_val": sum(one.moved for one in taken),
    }


def _counts(values: pa.ChunkedArray) -> dict[str, int]:
    counted = pc.value_counts(values)
    return {str(one["values"]): one["counts"] for one in counted.to_pylist()}
