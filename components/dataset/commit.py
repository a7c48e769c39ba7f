"""How new files of a tree take their places all at once, whatever happens in between.

They are written below `STAGED`. When all are durable the folder is renamed to `COMMITTED`: that is the commit. From
then on readers look there first (`resolve`) until each file has been moved to its place, which `recover` completes
where the writer was killed. Files are replaced by renaming: hard links to the old ones stay as they were.
A commit may also take files away: their names lie beside the new ones, in `REMOVED`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from components.core.files import fsync, read_json, write_json
from components.dataset.layout import OWN, OWN_RECORD

STAGED = f"{OWN}/.staged"
COMMITTED = f"{OWN}/.committed"
# In either of the two folders.
REMOVED = ".removed.json"


def stage_removal(root: Path, names: Iterable[str]) -> None:
    """The commit that is being staged will take these files of the tree away."""
    write_json(root / STAGED / REMOVED, sorted({*names, *removed(root / STAGED)}))


def removed(folder: Path) -> set[str]:
    """Names of the files that a staged or committed folder takes away."""
    path = folder / REMOVED
    return set(read_json(path)) if path.is_file() else set()


def publish(root: Path) -> None:
    """Makes the staged files those of the tree."""
    staged = root / STAGED
    for path in sorted(staged.rglob("*")):
        fsync(path)
    fsync(staged)
    staged.replace(root / COMMITTED)
    fsync(root / OWN)
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
    old = {name for name in files_below(root) if not name.startswith(staged)}
    return committed | old.difference(removed(root / COMMITTED))


def files_below(folder: Path) -> Iterator[str]:
    """Relative POSIX path of every file but `REMOVED`, in no order."""
    for path in folder.rglob("*"):
        if path.is_file() and path != folder / REMOVED:
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
    for name in sorted(removed(committed).difference(names)):
        _remove(root, root / name)
    for folder in sorted(folder for folder in folders if folder.is_dir()):
        fsync(folder)
    shutil.rmtree(committed)
    fsync(committed.parent)


def _remove(root: Path, path: Path) -> None:
    """Unlinks a file, and the folders that it leaves empty, for good."""
    path.unlink(missing_ok=True)
    folder = path.parent
    while folder != root and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
    if folder.is_dir():
        fsync(folder)
