"""A foreign trainer as a subprocess: its words live on stderr and in a log, its end tied to ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from components.core.errors import StageFailed
from components.core.workspace import Workspace
from components.train import guard

# Of a log, in the message of an error.
_LAST_LINES = 5
_BLOCK = 1 << 16
# What points a foreign Python at our packages.
_OURS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


# Stands beside {out} once all in it was found in order; the same inputs then need no second run.
ENDED = "ended"


def place_of(workspace: Workspace, name: str, follows_from: str) -> Path:
    """Where a run keeps what is no result yet, by the digest of all that it follows from."""
    return workspace.state / "external" / f"{name}-{follows_from[:16]}"


def forget(workspace: Workspace) -> None:
    """The results are in place: only the logs stay."""
    for path in (workspace.state / "external").glob("*/*"):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name == ENDED:
            path.unlink()


def run_command(command: Sequence[str], *, cwd: Path, log: Path, name: str) -> None:
    """Waits for the command to end; must be called by the main thread, whose end is the command's.

    Raises `StageFailed` naming the exit code, the log and its last lines.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {key: value for key, value in os.environ.items() if key not in _OURS}
    # Isolated: the guard needs the standard library alone.
    guarded = [sys.executable, "-I", guard.__file__, str(os.getpid()), *command]
    with (
        log.open("wb") as kept,
        subprocess.Popen(guarded, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child,
    ):
        try:
            assert child.stdout is not None
            while block := child.stdout.read1(_BLOCK):  # type: ignore[attr-defined]
                kept.write(block)
                kept.flush()
                sys.stderr.write(block.decode(errors="replace"))
                sys.stderr.flush()
            code = child.wait()
        except BaseException:
            child.terminate()
            child.wait()
            raise
    if code:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        said = " | ".join(lines[-_LAST_LINES:]) or "it said nothing"
        raise StageFailed(f"the trainer of {name} ended with {code}: {said}", where=str(log))
