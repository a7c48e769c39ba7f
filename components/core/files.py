"""Files that are either whole or absent: write to a temporary name, fsync, rename."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.core.errors import RecordError

_BLOCK = 1 << 20


def sha256_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def canonical_json(value: Any) -> str:
    """One spelling per value: sorted keys, no spaces, no NaN. Used wherever JSON is hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def digest_json(value: Any) -> str:
    return sha256_bytes(canonical_json(value).encode())


def tree_manifest(root: Path, *, skip: tuple[str, ...] = ()) -> dict[str, str]:
    """Relative POSIX path -> sha256 of every file below `root`, sorted by path."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    names = {path: path.relative_to(root).as_posix() for path in files}
    return {names[path]: sha256_file(path) for path in files if names[path] not in skip}


def fsync(path: Path) -> None:
    """Makes the bytes of a file durable, or the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, data: bytes) -> None:
    """Replaces `path` atomically; a reader sees the old bytes or the new ones, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync(path.parent)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Indented, sorted JSON: the same value gives the same bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def append_line(path: Path, line: str) -> None:
    """Appends one line durably. One `write` call, so concurrent appenders do not mix their lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as stream:
        stream.write(line.encode() + b"\n")
        os.fsync(stream.fileno())


def cut_file(path: Path, size: int) -> None:
    """Takes off what lies beyond `size` bytes, durably. Raises `RecordError` for a file that is shorter."""
    found = path.stat().st_size if path.exists() else 0
    if found < size:
        raise RecordError(
            f"{found} bytes, expected at least {size}", where=str(path), hint="Remove its folder and run again"
        )
    if found > size:
        with path.open("r+b") as stream:
            stream.truncate(size)
            os.fsync(stream.fileno())


def read_lines(path: Path) -> list[Any]:
    """The JSON lines of a log. A last line that a killed writer left unfinished is ignored."""
    if not path.exists():
        return []
    lines = path.read_text().split("\n")
    values = []
    for number, line in enumerate(lines):
        if not line:
            continue
        try:
            values.append(json.loads(line))
        except json.JSONDecodeError:
            if number < len(lines) - 1:
                raise
    return values


@contextmanager
def replace_dir(target: Path) -> Iterator[Path]:
    """Gives a temporary folder beside `target` that takes its place when the block ends without an error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for stale in target.parent.glob(f".{target.name}.partial-*"):
        shutil.rmtree(stale, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.partial-"))
    try:
        yield temporary
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    temporary.chmod(0o755)
    if target.exists():
        old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.partial-"))
        target.replace(old / "old")
        temporary.replace(target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        temporary.replace(target)
    fsync(target.parent)
