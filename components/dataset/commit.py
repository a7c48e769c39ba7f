"""How new files of a tree take their places all at once, whatever happens in between.

They are written below `STAGED`. When all are durable the folder is renamed to `COMMITTED`: that is the commit. From
then on readers look there first (`resolve`) until each file has been moved to its place, which `recover` completes
where the writer was killed. Files are replaced by renaming: hard links to the old ones stay as they were.
A commit may also take files away: their names lie beside the new ones, in `REMOVED`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from components.core.errors import DatasetError
from components.core.files import fsync, read_json, write_json
from components.dataset.layout import OWN, OWN_RECORD
from components.dataset.names import require_inside

STAGED = f"{OWN}/.staged"
COMMITTED = f"{OWN}/.committed"
# In either of the two folders.
REMOVED = ".removed.json"
# How often a file may move while somebody asks for it.
_MOVES = 8

T = TypeVar("T")


def stage_removal(root: Path, names: Iterable[str]) -> None:
    """The commit that is being staged will take these files of the tree away."""
    wanted = {*names, *removed(root / STAGED)}
    require_inside(root, wanted)
    write_json(root / STAGED / REMOVED, sorted(wanted))


def removed(folder: Path) -> set[str]:
    """Names of the files that a staged or committed folder takes away; `DatasetError` for what is no such name."""
    path = folder / REMOVED
    try:
        names = read_json(path)
    except FileNotFoundError:
        return set()
    except ValueError as error:
        raise DatasetError(f"not JSON: {error}", where=str(path)) from error
    if not isinstance(names, list):
        raise DatasetError(f"holds a {type(names).__name__}, expected a list of names", where=str(path))
    require_inside(folder, names)
    return set(names)


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


def located(root: Path, name: str, read: Callable[[Path], T]) -> T:
    """What `read` makes of the file `name` where it lies now, also where a commit moves it to its place meanwhile.

    Raises `FileNotFoundError` where it is not there.
    """
    for left in reversed(range(_MOVES)):
        path = resolve(root, name)
        try:
            return read(path)
        except FileNotFoundError:
            if not left or (path == root / name and not (root / COMMITTED).exists()):
                raise
    raise AssertionError("unreachable")


def settled(path: Path, read: Callable[[Path], T]) -> T:
    """`read(path)`, or where a commit has moved the file to its place since its path was asked for, of it there.

    Raises `FileNotFoundError` where it is not there either.
    """
    try:
        return read(path)
    except FileNotFoundError:
        root, found, name = path.as_posix().rpartition(f"/{COMMITTED}/")
        if not found:
            raise
        return read(Path(root) / name)


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
    require_inside(root, [f"{COMMITTED}/{REMOVED}"])
    # Frames before the metadata that promises them, the record last: other readers of the format know no commits.
    names = sorted(files_below(committed), key=lambda name: (name == OWN_RECORD, name.startswith("meta/"), name))
    gone = removed(committed)
    # Before anything is touched: whoever made the tree may have left a commit in it.
    require_inside(root, [*names, *gone])
    folders = {root}
    for name in names:
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (committed / name).replace(target)
        folders.update(parent for parent in target.parents if parent.is_relative_to(root))
    for name in sorted(gone.difference(names)):
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
