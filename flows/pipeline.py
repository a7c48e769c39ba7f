"""The one doorway to DVC: one writer per workspace, stages run as subprocesses, and a word on each stage."""

from __future__ import annotations

import fcntl
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from components.core.errors import Busy, MissingDependency, StageFailed, UsageError
from components.core.workspace import Workspace

if TYPE_CHECKING:
    from dvc.repo import Repo

StageResult = Literal["ran", "unchanged"]
STAGES = ("raw", "ingest", "check", "card", "train", "export", "evaluate", "gate")


@contextmanager
def one_writer(workspace: Workspace) -> Iterator[None]:
    """Holds the workspace for one run. DVC's own lock gives up after three seconds and loses finished work."""
    path = workspace.state / "pipeline.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            stream.seek(0)
            holder = stream.read().strip() or "another process"
            message = f"the workspace is in use by process {holder}"
            raise Busy(message, where=str(path), hint="Wait for it, or end it, and run again") from error
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield


def open_repo(workspace: Workspace) -> Repo:
    try:
        from dvc.repo import Repo
    except ImportError as error:
        raise MissingDependency("DVC is not installed", hint="Run `make setup`") from error
    from dvc.exceptions import NotDvcRepoError

    logging.getLogger("dvc").setLevel(logging.WARNING)
    try:
        return Repo(str(workspace.root))
    except NotDvcRepoError as error:
        raise UsageError("not a DVC workspace", where=str(workspace.root), hint="Run `dvc init` in it") from error


def clear_dead_locks(workspace: Workspace) -> None:
    """Forgets DVC's per-path locks whose holder was killed; live holders keep theirs."""
    from components.core.files import read_json, write_json

    path = workspace.root / ".dvc" / "tmp" / "rwlock"
    if not path.is_file():
        return
    try:
        locks = read_json(path)
    except ValueError:
        path.unlink()
        return
    for key, held in list(locks.items()):
        readers = [one for one in held.get("read", []) if Path(f"/proc/{one['pid']}").exists()]
        writer = held.get("write")
        alive = bool(writer) and Path(f"/proc/{writer['pid']}").exists()
        kept = {**({"read": readers} if readers else {}), **({"write": writer} if alive else {})}
        if kept:
            locks[key] = kept
        else:
            del locks[key]
    write_json(path, locks)


def changed_stages(workspace: Workspace) -> list[str]:
    """Stages that `dvc repro` would run or that stand below one that it would."""
    clear_dead_locks(workspace)
    with chdir(workspace.root), open_repo(workspace) as repo:
        changed = {name.rpartition(":")[2] for name in repo.status()}
    first = next((index for index, name in enumerate(STAGES) if name in changed), len(STAGES))
    return list(STAGES[first:])


def reproduce(workspace: Workspace, stage: str) -> StageResult:
    """Brings one stage up to date. DVC decides whether it runs; its command is a process of its own.

    Raises `StageFailed` where the command fails; what it printed is on stderr.
    """
    from dvc.exceptions import ReproductionError

    clear_dead_locks(workspace)
    # DVC reads targets and commands relative to the current folder, whatever the repository's root.
    with chdir(workspace.root), open_repo(workspace) as repo, _stage_environment():
        try:
            done = repo.reproduce(targets=[stage], single_item=True)
        except ReproductionError as error:
            raise _stage_error(workspace, stage, error) from error
    return "ran" if done else "unchanged"


def _stage_error(workspace: Workspace, stage: str, error: Exception) -> StageFailed:
    from dvc.stage.exceptions import StageCmdFailedError

    cause = error.__cause__
    failed = StageFailed(
        f"stage {stage!r} failed: {cause or error}", hint="The reason stands above; mend it and run again"
    )
    status = _exit_status(str(cause)) if isinstance(cause, StageCmdFailedError) else None
    if status in (1, 2, 3, 4):
        failed.exit_code = status
    return failed


def _exit_status(message: str) -> int | None:
    """DVC keeps a failed command's status only in its message: "exited with 3"."""
    _, found, tail = message.rpartition("exited with ")
    return int(tail) if found and tail.strip().isdigit() else None


@contextmanager
def _stage_environment() -> Iterator[None]:
    """Stage commands say `python`; it must be the one that runs this."""
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{before}"
    try:
        yield
    finally:
        os.environ["PATH"] = before
