"""Episodes that were read and are not in the dataset yet lie here, so that a killed run loses only those in hand."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from components.core.errors import Busy, DatasetError
from components.core.files import digest_json, write_bytes
from components.dataset.prepared import PreparedEpisode


def spool_key(source_uri: str, source_key: str, part: str, settings: str) -> str:
    """Name of what a part of a source becomes under the settings of that digest."""
    return digest_json([source_uri, source_key, part, settings])


class Spool:
    """Prepared episodes by key, each a file that is whole or not there; damaged ones count as not there.

    As a context manager it belongs to one process at a time; raises `Busy` where another one has it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = -1

    def __enter__(self) -> Spool:
        self._lock = _locked(self.folder)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not any(self.folder.iterdir()):
            self.folder.rmdir()
        os.close(self._lock)

    def put(self, key: str, data: bytes) -> None:
        """`data`: what `PreparedEpisode.to_bytes` made."""
        write_bytes(self._path(key), data)

    def get(self, key: str) -> PreparedEpisode | None:
        try:
            return PreparedEpisode.from_bytes(self._path(key).read_bytes())
        except (FileNotFoundError, DatasetError):
            return None

    def holds(self, key: str) -> bool:
        """Whether something was put under the key; `get` says whether it is whole."""
        return self._path(key).is_file()

    def drop(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._path(key).unlink(missing_ok=True)

    def clear(self) -> None:
        """Drops all, also what runs with other settings left."""
        for path in self.folder.iterdir():
            path.unlink()

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.episode"


def _locked(folder: Path) -> int:
    """Descriptor of the folder, locked; whoever had it last may have removed it meanwhile."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if folder.is_dir() and folder.stat().st_ino == os.fstat(handle).st_ino:
                return handle
        except BlockingIOError as error:
            os.close(handle)
            raise Busy("another ingest writes this dataset", where=str(folder), hint="Wait until it ends") from error
        os.close(handle)
