"""Records: what a stage did, beside what it made. Deterministic: no time, no host, no path of a machine."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from components.core.errors import RecordError
from components.core.files import digest_json, write_json

RECORD_NAME = "record.json"


@dataclass(frozen=True)
class Record:
    """`digest` identifies the thing made; `inputs` maps a role ("dataset", "checkpoint") to the digest used."""

    kind: str
    digest: str
    inputs: dict[str, str] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, float] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)

    @property
    def params_digest(self) -> str:
        return digest_json(self.params)


def write_record(folder: Path, record: Record) -> None:
    write_json(folder / RECORD_NAME, asdict(record))


def read_record(folder: Path, kind: str | None = None) -> Record:
    """Reads `record.json` in `folder`; `kind`, where given, must match."""
    path = folder / RECORD_NAME
    if not path.is_file():
        raise RecordError("no record.json", where=str(folder), hint="Run the stage that makes this folder first")
    return parse_record(path.read_bytes(), path, kind)


def parse_record(data: bytes, path: Path, kind: str | None = None) -> Record:
    """The same of the bytes of one; `path`: where they lie."""
    try:
        record = Record(**json.loads(data))
    except (ValueError, TypeError) as error:
        raise RecordError(f"not a record: {error}", where=str(path)) from error
    if kind is not None and record.kind != kind:
        raise RecordError(f"a record of kind {record.kind!r}, expected {kind!r}", where=str(path))
    return record
