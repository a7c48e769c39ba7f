"""The stage `record`: fills data/raw where it is empty, and leaves it alone where it is not."""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.core.errors import Busy, UsageError
from components.core.files import read_json, write_json
from components.core.params import Params, Raw
from components.core.workspace import Workspace
from components.record.plan import plan_recording
from components.record.recorder import record_files

log = logging.getLogger(__name__)


def run(workspace: Workspace, params: Params) -> None:
    """Makes data/raw and data/planted.json.

    What is in data/raw stays as it is, unless it is an unfinished recording of this stage: that one is completed. The
    marker that tells the two apart lies in .gripline, outside the data.
    """
    state = workspace.state / "record"
    with _locked(state / "lock"):
        marker = state / "in-progress.json"
        if marker.exists() or not files_in(workspace.raw):
            _record(workspace, params.raw, marker)
        else:
            _keep(workspace, params.raw)


def files_in(folder: Path) -> set[str]:
    """Relative paths of the files that are not hidden; empty where there is no such folder."""
    if not folder.is_dir():
        return set()
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix() for path in files}


def _record(workspace: Workspace, raw: Raw, marker: Path) -> None:
    started = time.monotonic()
    files = plan_recording(raw)
    _discard_other(workspace.raw, raw, marker)
    write_json(marker, raw.model_dump(mode="json"))
    workspace.raw.mkdir(parents=True, exist_ok=True)
    record_files(files, workspace.raw, raw)
    planted = sorted((entry for file in files for entry in file.planted()), key=lambda entry: entry["source"])
    write_json(workspace.planted, planted)
    write_json(_finished(workspace), {"raw": raw.model_dump(mode="json"), "planted": planted})
    marker.unlink()
    episodes = sum(len(file.episodes) for file in files)
    seconds = round(time.monotonic() - started, 3)
    workspace.journal.write("recorded", episodes=episodes, files=len(files), planted=len(planted), duration_s=seconds)
    log.info("recorded %d episodes into %d files in %.0f s", episodes, len(files), seconds)


def _discard_other(folder: Path, raw: Raw, marker: Path) -> None:
    """Removes the files of an unfinished recording that was begun with other params; they would mix with ours.

    Raises `UsageError` where somebody put files of their own beside it, which would mix as well.
    """
    if not marker.exists():
        return
    begun = [file.path for file in plan_recording(Raw.model_validate(read_json(marker)))]
    foreign = sorted(files_in(folder) - set(begun))
    if foreign:
        raise UsageError(
            f"{foreign[0]} is not of the recording that was interrupted here",
            where=str(folder),
            hint=f"Move it away to complete the recording, or delete {marker} to use all files as they are",
        )
    if read_json(marker) != raw.model_dump(mode="json"):
        log.info("params.raw changed since the recording was interrupted: starting it again")
        for path in begun:
            (folder / path).unlink(missing_ok=True)


def _keep(workspace: Workspace, raw: Raw) -> None:
    """Uses what is there. Says what was planted where the files are this stage's own, else that nothing was."""
    files = files_in(workspace.raw)
    planted: list[dict[str, str]] = []
    finished: dict[str, Any] = read_json(_finished(workspace)) if _finished(workspace).exists() else {}
    if finished:
        planted = [entry for entry in finished["planted"] if entry["source"].split("#")[0] in files]
        if finished["raw"] != raw.model_dump(mode="json"):
            log.warning("%s is kept although params.raw changed. Move it away to record anew.", workspace.raw)
    write_json(workspace.planted, planted)
    workspace.journal.write("recording-kept", files=len(files), planted=len(planted))
    log.info("using the %d files in %s as they are", len(files), workspace.raw)


def _finished(workspace: Workspace) -> Path:
    return workspace.state / "record" / "finished.json"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Busy("somebody else is recording", where=str(path), hint="Wait until it is done") from error
        yield
