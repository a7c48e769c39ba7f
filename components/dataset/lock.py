"""One writer at a time: whoever changes a tree holds a lock on a hidden file beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from filelock import FileLock, Timeout

from components.core.errors import Busy


@dataclass
class _Held:
    lock: FileLock
    times: int = 0


# By process too: a forked child does not hold what its parent holds.
_held: dict[tuple[int, Path], _Held] = {}
_guard = Lock()


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Holds the dataset in `root` against other processes; within one process it may be held several times.

    Raises `Busy` at once where another process holds it. The kernel lets go of what a killed process held. The lock
    file lies beside the tree, since everything inside is part of the dataset, and goes when it is released.
    """
    acquire(root)
    try:
        yield
    finally:
        release(root)


def acquire(root: Path) -> None:
    """`writing` without a block; each `acquire` needs its `release`."""
    path = lock_path(root)
    with _guard:
        held = _held.get((os.getpid(), path))
        if held is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            held = _Held(FileLock(path, blocking=False, thread_local=False))
            try:
                held.lock.acquire()
            except Timeout as error:
                raise Busy(
                    "another process is writing this dataset", where=str(root), hint="Wait until it is done"
                ) from error
            _held[os.getpid(), path] = held
        held.times += 1


def release(root: Path) -> None:
    path = lock_path(root)
    with _guard:
        held = _held[os.getpid(), path]
        held.times -= 1
        if not held.times:
            del _held[os.getpid(), path]
            # Removed while it is held: who opened it before and locks it now sees that it has no name, and tries again.
            path.unlink(missing_ok=True)
            held.lock.release()


def lock_path(root: Path) -> Path:
    """The lock file of the dataset in `root`."""
    whole = root.resolve()
    return whole.with_name(f".{whole.name}.lock")
