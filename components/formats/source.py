"""What a reader says about a source before an episode is read. Each reader is a module with these three functions:

    open_source(path, mapping, *, where) -> Opened          cheap: dialect, parts, the mapping that rules
    fields(path, part, mapping, *, where) -> list[Field]    what there is, read or not, for `gripline inspect`
    read_part(recording, part) -> Episode                   one episode; its neighbours are not touched
    read_range(recording, part, start_ns, end_ns)           optional: the same for a span of a part (see `cuts.Cut`)
    origin_ns(path, *, where) -> int                        optional: Unix time of the moment from which cuts count
    origin_ns(path, *, where) -> int                        optional: Unix time at which the clock of cuts is 0

A `FormatError` from `open_source` concerns the whole source, one from `read_part` that part alone. Nothing else is
raised for any bytes: each place that hands bytes to a library names a code of its own (`assemble.library_errors`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from components.core.episode import Episode
from components.formats.cuts import Cut
from components.formats.mapping import Mapping


@dataclass(frozen=True)
class Found:
    """A source before it is opened: a file, or a folder whose files belong together. `uri`: its name in the dataset."""

    path: Path
    uri: str
    format: str


@dataclass(frozen=True)
class Opened:
    """`parts`: names of the episodes, in order; `problems`: what disagrees without making the source unreadable.

    `cuts`: what the mapping's `episode` rule found in a long recording; the registry makes parts of them.
    """

    dialect: str
    parts: tuple[str, ...]
    mapping: Mapping
    problems: tuple[Problem, ...] = ()
    cuts: tuple[Cut, ...] = ()


@dataclass(frozen=True)
class Problem:
    code: str
    where: str
    detail: str


@dataclass(frozen=True)
class Field:
    """Something in a part that could be a stream. `type`: message type or dtype; `shape`: of one sample.

    `stream`: what it is mapped to, "" where nobody reads it; `problem`: why it cannot be decoded.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    count: int
    rate_hz: float = 0.0
    stream: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Recording:
    """An opened source. `sha256`: of the file, or of the manifest of a folder's files."""

    path: Path
    uri: str
    format: str
    dialect: str
    sha256: str
    parts: tuple[str, ...]
    mapping: Mapping
    problems: tuple[Problem, ...] = ()
    cuts: tuple[Cut, ...] = ()

    def uri_of(self, part: str) -> str:
        return f"{self.uri}#{part}" if part else self.uri


class Reader(Protocol):
    def open_source(self, path: Path, mapping: Mapping | None, *, where: str) -> Opened: ...

    def fields(self, path: Path, part: str, mapping: Mapping, *, where: str) -> list[Field]: ...

    def read_part(self, recording: Recording, part: str) -> Episode: ...
