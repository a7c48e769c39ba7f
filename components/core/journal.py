"""The journal: who did what, when and where. Append-only, outside DVC, so that outputs stay reproducible."""

from __future__ import annotations

import getpass
import json
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from components.core.files import append_line, read_lines


@cache
def git_commit(root: Path) -> str:
    """Commit of the working tree, "+dirty" where tracked files differ, "" outside git."""
    try:
        head = _git(root, "rev-parse", "HEAD")
        return f"{head}+dirty" if _git(root, "status", "--porcelain", "--untracked-files=no") else head
    except (OSError, subprocess.CalledProcessError):
        return ""


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def now() -> str:
    """UTC, ISO 8601, microseconds."""
    return datetime.now(UTC).isoformat()


def _actor() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


class Journal:
    """`.gripline/journal/<name>.jsonl`; every line holds at, actor, host, commit, event and what the caller adds."""

    def __init__(self, folder: Path, name: str = "journal") -> None:
        self.path = folder / f"{name}.jsonl"
        self._root = folder

    def write(self, event: str, **fields: Any) -> dict[str, Any]:
        line = {
            "at": now(),
            "actor": _actor(),
            "host": platform.node(),
            "commit": git_commit(self._root if self._root.exists() else Path.cwd()),
            "event": event,
            **fields,
        }
        append_line(self.path, json.dumps(line, sort_keys=True))
        return line

    def read(self) -> list[dict[str, Any]]:
        return read_lines(self.path)
