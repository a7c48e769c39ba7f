"""Takes episodes out of a tree for good: their bytes are gone, and only files that held them are touched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.core.errors import DatasetError, UsageError
from components.core.workspace import beside
from components.dataset import layout
from components.dataset.commit import STAGED, publish, recover, resolve, stage_removal
from components.dataset.edits.choose import full_ids
from components.dataset.edits.plan import FileEdit, Places, file_edits
from components.dataset.edits.rest import subtract_episodes
from components.dataset.edits.rewrite import write_sketches, write_successor
from components.dataset.edits.sources import remaining_tasks, stage_calibrations, stage_edited, stage_sources
from components.dataset.edits.tombstones import rewrite_metadata
from components.dataset.loading.cache_room import purge
from components.dataset.lock import lock_path, writing
from components.dataset.manifest import require_tree
from components.dataset.reader import Dataset
from components.dataset.resume import totals_of


@dataclass(frozen=True)
class Deletion:
    """`replaced`: file that held one of the episodes -> that with what stays of it, of the same name or another, or ""
    where nothing does.

    `linked`: those that have another hard link somewhere, which keeps the bytes; `beside`: hidden folders beside the
    tree, where a run that was killed may have left episodes; `shown`: what was made of the dataset beside it under its
    usual name, and shows pictures of these episodes or may. `cached`: entries of the caches that somebody reads or
    builds, and that may hold frames of the episodes therefore. `digest`: of the dataset afterwards.
    """

    episodes: tuple[str, ...]
    frames: int
    replaced: dict[str, str]
    linked: tuple[str, ...]
    beside: tuple[str, ...]
    shown: tuple[str, ...] = ()
    cached: tuple[str, ...] = ()
    digest: str = ""


def delete(root: Path, episode_ids: Iterable[str], *, reason: str = "", caches: Sequence[Path] = ()) -> Deletion:
    """Deletes episodes by id, or by the beginning of one; the numbers of the others stay as they are.

    Killed at any moment, the tree is the old one or the new one. `reason` stays in the tree, beside the ids, which
    ingest does not take in again. `caches`: folders of decoded frames (`CacheFolder`), from which the entries of the
    dataset as it was go; those of a dataset that it grew out of stay. Raises `DatasetError` and changes nothing where
    an id is unknown or none would remain, and `Busy` where another process writes to the tree.
    """
    require_tree(root)
    with writing(root):
        recover(root)
        dataset = Dataset.open(root)
        doomed = _doomed(dataset, episode_ids)
        before, after = Places(dataset, doomed), Places(dataset, doomed)
        edits = list(file_edits(before))
        deletion = _deletion(before, edits)
        try:
            for edit in edits:
                write_successor(before, edit, root / STAGED)
                after.move(edit)
            digest = _stage(before, after, deletion, reason)
            # Before the commit too: killed after it, nobody would know any more which entries were to go.
            _purge(caches, dataset.digest)
            publish(root)
        except BaseException:
            recover(root)
            raise
        return replace(deletion, cached=_purge(caches, dataset.digest), digest=digest)


def _purge(caches: Iterable[Path], digest: str) -> tuple[str, ...]:
    """Removes what was decoded of the dataset of this digest; returns the entries that stay."""
    return tuple(str(entry) for folder in caches for entry in purge(folder, digest))


def plan_deletion(root: Path, episode_ids: Iterable[str]) -> Deletion:
    """What `delete` would do; changes nothing. Raises as it does."""
    dataset = Dataset.open(root)
    places = Places(dataset, _doomed(dataset, episode_ids))
    return _deletion(places, list(file_edits(places)))


def _doomed(dataset: Dataset, episode_ids: Iterable[str]) -> npt.NDArray[np.bool_]:
    ids = dataset.table(["episode_id"])["episode_id"]
    wanted = full_ids(ids, episode_ids, where=str(dataset.root))
    if not wanted:
        raise UsageError("no episode to delete", where=str(dataset.root), hint="Name one with --episode")
    if len(wanted) == len(dataset):
        raise DatasetError(
            f"all {len(dataset)} episodes would go", where=str(dataset.root), hint="Remove the folder instead"
        )
    doomed: npt.NDArray[np.bool_] = pc.is_in(ids, value_set=pa.array(wanted, pa.string())).to_numpy()
    return doomed


def _deletion(places: Places, edits: Sequence[FileEdit]) -> Deletion:
    dataset = places.dataset
    ids = dataset.table(["episode_id"])["episode_id"].filter(pa.array(places.doomed)).to_pylist()
    replaced = {edit.old_name: edit.new_name or "" for edit in edits}
    files = {name: resolve(dataset.root, name) for name in replaced}
    home = dataset.root.resolve()
    hidden = home.parent.glob(f".{home.name}.*")
    shown = [beside(home, "views") / one[:12] for one in ids] + [beside(home, made) for made in ("card", "checks")]
    return Deletion(
        episodes=tuple(ids),
        frames=int(dataset.lengths[places.doomed].sum()),
        replaced=replaced,
        linked=tuple(name for name, path in files.items() if path.exists() and path.stat().st_nlink > 1),
        beside=tuple(sorted(path.name for path in hidden if path != lock_path(dataset.root))),
        shown=tuple(one.relative_to(home.parent).as_posix() for one in shown if one.exists()),
    )


def _stage(before: Places, after: Places, deletion: Deletion, reason: str) -> str:
    """All files of the new tree that are not there yet; returns the digest."""
    dataset, doomed = before.dataset, before.doomed
    root, staged = dataset.root, dataset.root / STAGED
    rewrite_metadata(after, before, staged)
    emptied = _stage_sketches(before)
    unused = stage_calibrations(dataset, doomed, staged)
    doubles = stage_sources(dataset, deletion.episodes, reason, staged)
    gone = [old for old, new in deletion.replaced.items() if old != new]
    stage_removal(root, [*gone, *emptied, *unused])
    totals = totals_of(dataset)
    subtract_episodes(totals.stats, dataset, doomed)
    totals.episodes -= len(deletion.episodes)
    totals.frames -= deletion.frames
    totals.tasks = remaining_tasks(totals.tasks, dataset, doomed)
    totals.own_episodes = after.table()
    return stage_edited(dataset, totals, doubles)


def _stage_sketches(places: Places) -> list[str]:
    """Rows follow the index from file to file, so those that stay move up; returns the files that nothing stays of."""
    dataset, start, emptied = places.dataset, 0, []
    for name in sorted(name for name in dataset.listed if name.startswith(_head(layout.SKETCHES_PATH))):
        path = resolve(dataset.root, name)
        rows: Any = pq.read_metadata(path).num_rows
        doomed = places.doomed[start : start + rows]
        start += rows
        if doomed.all():
            emptied.append(name)
        elif doomed.any():
            write_sketches(path, ~doomed, dataset.root / STAGED / name)
    return emptied


def _head(template: str) -> str:
    return template.rsplit("chunk-", 1)[0]
