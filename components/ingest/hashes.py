"""sha256 of sources, remembered by what the file system says of a file, so that a run reads only what changed.

A source whose size, modification time and inode are as they were has not been written to. Files that changed within the
last seconds are hashed and not remembered: the clock of the file system may be too coarse to show the next change.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

from components.core.files import digest_json, sha256_file

_SETTLED_NS = 5 * 10**9
# A split bag or an episode with its videos, not a dataset of thousands.
_SMALL_FOLDER = 64
_SCHEMA = "CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, size INT, mtime_ns INT, inode INT, sha256 TEXT)"

Signature = tuple[int, int, int]


def signature(path: Path) -> Signature:
    """Size, modification time in ns and inode of a file."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


def stat_digest(path: Path) -> str:
    """Changes whenever a file is written to, or one in a folder is added, removed or replaced.

    What is written into a file of a large folder does not show: this is asked for before and after each episode.
    """
    if path.is_file():
        return digest_json(signature(path))
    files = [file for _, file in _files(path)]
    looked_at = files if len(files) <= _SMALL_FOLDER else sorted({file.parent for file in files})
    return digest_json({file.relative_to(path).as_posix(): signature(file) for file in looked_at})


def content_digests(paths: Sequence[Path], cache: Path | None, *, threads: int = 1) -> list[str]:
    """sha256 of each file, or of the manifest of a folder: the values of `formats.registry.content_sha256`."""
    files = [file for path in paths for _, file in _files(path)]
    known = _hashed(files, cache, threads)
    return [_digest(path, known) for path in paths]


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    """A file itself; all files of a folder, by name."""
    if path.is_file():
        yield path.name, path
    else:
        for file in sorted(file for file in path.rglob("*") if file.is_file()):
            yield file.relative_to(path).as_posix(), file


def _digest(path: Path, known: dict[Path, str]) -> str:
    if path.is_file():
        return known[path]
    return digest_json({name: known[file] for name, file in _files(path)})


def _hashed(files: Sequence[Path], cache: Path | None, threads: int) -> dict[Path, str]:
    before = {file: signature(file) for file in files}
    known = {} if cache is None else _remembered(cache, before)
    unknown = [file for file in files if file not in known]
    # hashlib lets go of the interpreter while it works, so threads share the cores.
    with ThreadPoolExecutor(max(1, threads)) as pool:
        fresh = dict(zip(unknown, pool.map(sha256_file, unknown), strict=True))
    if cache is not None and fresh:
        settled = time.time_ns() - _SETTLED_NS
        _remember(cache, ((f, before[f], sha) for f, sha in fresh.items() if before[f][1] < settled))
    return known | fresh


def _remembered(cache: Path, signatures: dict[Path, Signature]) -> dict[Path, str]:
    if not cache.is_file():
        return {}
    try:
        with closing(sqlite3.connect(cache)) as database:
            rows = database.execute("SELECT path, size, mtime_ns, inode, sha256 FROM files").fetchall()
    except sqlite3.OperationalError:
        return {}  # busy, or never filled
    except sqlite3.DatabaseError:
        cache.unlink(missing_ok=True)  # no database; only time is lost with it
        return {}
    stored = {path: (tuple(found), sha) for path, *found, sha in rows}
    hits = ((file, stored.get(str(file.absolute()))) for file in signatures)
    return {file: hit[1] for file, hit in hits if hit is not None and hit[0] == signatures[file]}


def _remember(cache: Path, entries: Iterable[tuple[Path, Signature, str]]) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    rows = [(str(file.absolute()), *found, sha) for file, found, sha in entries]
    # Another run may hold it, or the disk be full: then the next run hashes again.
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(cache)) as database, database:
        database.execute(_SCHEMA)
        database.executemany("REPLACE INTO files VALUES (?, ?, ?, ?, ?)", rows)
