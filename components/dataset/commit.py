"""How new files of a tree take their places all at once, whatever happens in between.

They are written below `STAGED`. When all are durable the folder is renamed to `COMMITTED`: that is the commit. From
then on readers look there first (`resolve`) until each file has been moved to its place, which `recover` completes
where the writer was killed. Files are replaced by renaming: hard links to the old ones stay as they were.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from components.core.files import fsync_dir
from components.dataset.layout import OWN, OWN_RECORD

STAGED = f"{OWN}/.staged"
COMMITTED = f"{OWN}/.committed"


def publish(root: Path) -> None:
    """Makes the staged files those of the tree."""
    staged = root / STAGED
    for path in sorted(staged.rglob("*")):
        if path.is_dir():
            fsync_dir(path)
        else:
            _fsync_file(path)
    fsync_dir(staged)
    staged.replace(root / COMMITTED)
    fsync_dir(root / OWN)
    _move_committed(root)


def recover(root: Path) -> None:
    """Completes a commit that was begun, and drops what was staged by a writer that is no more."""
    _move_committed(root)
    shutil.rmtree(root / STAGED, ignore_errors=True)


def resolve(root: Path, name: str) -> Path:
    """Where the file `name` of the tree lies now."""
    committed = root / COMMITTED / name
    return committed if committed.exists() else root / name


def tree_files(root: Path) -> set[str]:
    """Names of all files of the tree, wherever they lie; what is only staged is none of them."""
    committed = set(files_below(root / COMMITTED))
    staged = f"{STAGED}/", f"{COMMITTED}/"
    return committed | {name for name in files_below(root) if not name.startswith(staged)}


def files_below(folder: Path) -> Iterator[str]:
    """Relative POSIX path of every file, in no order."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.relative_to(folder).as_posix()


def _move_committed(root: Path) -> None:
    committed = root / COMMITTED
    if not committed.is_dir():
        return
    # Frames before the metadata that promises them, the record last: other readers of the format know no commits.
    names = sorted(files_below(committed), key=lambda name: (name == OWN_RECORD, name.startswith("meta/"), name))
    folders = {root}
    for name in names:
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (committed / name).replace(target)
        folders.update(parent for parent in target.parents if parent.is_relative_to(root))
    for folder in sorted(folders):
        fsync_dir(folder)
    shutil.rmtree(committed)
    fsync_dir(committed.parent)


def _fsync_file(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
