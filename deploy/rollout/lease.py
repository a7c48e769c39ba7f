"""One controller at a time: a file lock that dies with its owner, and a heartbeat that says who that is."""

from __future__ import annotations

import fcntl
import os
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from components.core.errors import Busy
from components.core.files import read_json, write_json

_LOCK = "lease.lock"
_OWNER = "lease.json"
_TRIES = 5
# More often says nothing more, and costs two disk flushes between a verdict and what follows from it.
_BEAT_S = 1.0


@dataclass(frozen=True)
class Owner:
    """`epoch` grows by one with each owner; `beat_at`: seconds since the Unix epoch; `pid` 0: released in order."""

    pid: int
    host: str
    epoch: int
    beat_at: float


class Lease:
    """Held by at most one process for `folder`.

    The kernel frees the lock when its holder dies, so a dead owner is succeeded at once and a living one never. A
    lock that is held while its heartbeat is older than `lease_s` belongs to a hung process; the error says which.
    """

    def __init__(self, folder: Path, lease_s: float) -> None:
        self.folder = folder
        self.lease_s = lease_s
        self.epoch = 0
        self._handle: int | None = None

    @property
    def held(self) -> bool:
        return self._handle is not None

    def acquire(self) -> Lease:
        """Takes the lease or raises `Busy`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        # `is_held` holds the lock for an instant, so one refusal is not yet an answer.
        for attempt in range(_TRIES):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if attempt == _TRIES - 1:
                    os.close(handle)
                    raise self._busy() from error
                time.sleep(0.02)
        before = read_owner(self.folder)
        self._handle = handle
        self.epoch = (before.epoch if before else 0) + 1
        self.beat()
        return self

    def beat(self) -> None:
        """Says that the owner lives. Raises `Busy` where somebody else became the owner meanwhile."""
        if self._handle is None:
            raise Busy("the lease is not held", where=str(self.folder))
        now = read_owner(self.folder)
        if now is not None and now.epoch > self.epoch:
            raise self._busy()
        if now is None or now.epoch < self.epoch or time.time() - now.beat_at > _BEAT_S:
            self._write(os.getpid())

    def release(self) -> None:
        if self._handle is None:
            return
        self._write(0)
        os.close(self._handle)
        self._handle = None

    def __enter__(self) -> Lease:
        return self if self.held else self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _write(self, pid: int) -> None:
        write_json(self.folder / _OWNER, asdict(Owner(pid, platform.node(), self.epoch, time.time())))

    def _busy(self) -> Busy:
        owner = read_owner(self.folder)
        if owner is None or owner.pid == 0:
            return Busy("another process is taking the lease", where=str(self.folder), hint="Try again")
        silent_s = time.time() - owner.beat_at
        hint = "Wait for it, or pause or abort its rollout"
        if silent_s > self.lease_s:
            hint = f"It has been silent for {silent_s:.0f} s; if it hangs, end process {owner.pid} and resume"
        return Busy(f"process {owner.pid} on {owner.host} drives a rollout", where=str(self.folder), hint=hint)


def read_owner(folder: Path) -> Owner | None:
    """Who last wrote the lease, alive or not; None where nobody ever did."""
    path = folder / _OWNER
    return Owner(**read_json(path)) if path.exists() else None


def is_held(folder: Path) -> bool:
    """Whether a living process holds the lease."""
    path = folder / _LOCK
    if not path.exists():
        return False
    handle = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
