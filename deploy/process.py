"""Detached server processes: started in a session of their own, found again by others, stopped without doubt."""

from __future__ import annotations

import os
import random
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from components.core.errors import ServerError

_POLL_S = 0.02
_PORTS = range(20_000, 32_000)
_TRIES = 200
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class ServerProcess:
    """A process by what cannot be reused: its id, its start in clock ticks after boot, and which boot that was."""

    pid: int
    started: int
    boot: str

    @property
    def alive(self) -> bool:
        _reap(self.pid)
        return self.boot == _boot_id() and _started(self.pid) == self.started

    @property
    def rss_bytes(self) -> int:
        """Resident memory of the process and of those in its session."""
        pids = _session(self.pid) if self.alive else []
        return sum(_rss_bytes(pid) for pid in pids)

    def stop(self, timeout_s: float) -> None:
        """SIGTERM, then SIGKILL after `timeout_s`; what is left of its session goes too. A reused pid is left alone."""
        if self.alive:
            _signal(self.pid, signal.SIGTERM)
            _wait(lambda: not self.alive, timeout_s)
        if self.boot != _boot_id() or _started(self.pid) not in (self.started, None):
            return
        # While anything of the session lives the kernel gives its id to nobody else, so these are ours.
        for pid in _session(self.pid):
            _signal(pid, signal.SIGKILL)
        if not _wait(lambda: not self.alive and not _session(self.pid), 5.0):
            raise ServerError(f"process {self.pid} does not end", hint=f"Look at /proc/{self.pid}/stack")


def spawn(argv: Sequence[str], *, env: Mapping[str, str], log: Path) -> ServerProcess:
    """Starts `argv` in a new session; stdout and stderr are appended to `log`. Returns at once."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        # posix_spawn: no fork handlers run, which a process that talks gRPC could not survive.
        pid = os.posix_spawn(
            argv[0],
            list(argv),
            dict(env),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, stream.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, stream.fileno(), 2),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGPIPE),
        )
    started = _started(pid)
    return ServerProcess(pid, -1 if started is None else started, _boot_id())


def find_running(argument: str) -> list[ServerProcess]:
    """Living processes whose command line holds exactly this argument: servers whose start nobody could note down."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and argument.encode() in _command(int(entry.name)):
            started = _started(int(entry.name))
            if started is not None:
                found.append(ServerProcess(int(entry.name), started, _boot_id()))
    return found


def free_ports(count: int) -> list[int]:
    """`count` different loopback ports that nobody listens on now.

    Below those that the system lends to connections: one of these might take the port of a server that died, which
    then could not come back at its place. Raises `ServerError` where none is found.
    """
    found: list[int] = []
    with ExitStack() as stack:
        for port in random.SystemRandom().sample(_PORTS, _TRIES):
            one = stack.enter_context(socket.socket())
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
            if len(found) == count:
                return found
    raise ServerError(f"no {count} free ports among {_TRIES} tried", where="127.0.0.1", hint="Stop what listens there")


def port_in_use(port: int) -> bool:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def tail(log: Path, lines: int = 12) -> str:
    """Last lines of a log, for an error message."""
    if not log.is_file():
        return "no log"
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _boot_id() -> str:
    return _BOOT_ID.read_text().strip()


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/<pid>/stat after the command name, from the state on; None for no process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _started(pid: int) -> int | None:
    """Start in clock ticks after boot; None where there is no such process, or only a zombie."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in "ZX" else int(fields[19])


def _session(leader: int) -> list[int]:
    """Living processes of the session that `leader` opened."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields is not None and fields[0] not in "ZX" and int(fields[3]) == leader:
                found.append(int(entry.name))
    return found


def _command(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []


def _rss_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _reap(pid: int) -> None:
    """Takes the exit status of a child that ended; a process of somebody else is not ours to reap."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _wait(done: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
