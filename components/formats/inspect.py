"""What recordings hold, what they lack, and what is wrong with them; for people and for `--json`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from components.core.errors import FormatError
from components.formats.cut_lists import CutList
from components.formats.cut_rows import SourceCut
from components.formats.cuts import Cut
from components.formats.discover import find
from components.formats.isolated import Child
from components.formats.look import Seen, StreamKey, Sums, Task, look
from components.formats.mapping import Mapping
from components.formats.source import Problem

# Read by libraries in C that may crash on a damaged file.
_CRASHING = ("hdf5", "lerobot")


@dataclass
class Inspection(Sums):
    """Everything looked at."""

    formats: set[str] = field(default_factory=set)
    dialects: set[str] = field(default_factory=set)
    mappings: dict[str, Mapping] = field(default_factory=dict)
    cuts: list[tuple[str, Cut]] = field(default_factory=list)

    def add(self, uri: str, seen: Seen) -> None:
        self.add_sums(seen)
        self.formats.add(seen.format)
        self.dialects |= {seen.dialect} - {""}
        if seen.mapping is not None:
            self.mappings[uri] = seen.mapping
        self.cuts += [(uri, cut) for cut in seen.cuts]

    @property
    def cut_list(self) -> CutList:
        return CutList(tuple(SourceCut(uri, cut) for uri, cut in self.cuts))

    def as_dict(self) -> dict[str, Any]:
        return {
            "format": "+".join(sorted(self.formats)),
            "dialect": "+".join(sorted(self.dialects)),
            "episodes": self.episodes,
            "frames": self.frames,
            "streams": [self._stream(key) for key in sorted(self.counts)],
            "tasks": sorted(self.tasks),
            "problems": [asdict(problem) for problem in self.problems],
            "mapping": mapping_text(self.mappings),
            "cuts": [{"source": uri, **asdict(cut), "name": cut.name} for uri, cut in self.cuts],
        }

    def _stream(self, key: StreamKey) -> dict[str, Any]:
        name, kind, shape, dtype = key
        rate_hz = round(median(self.rates[key]), 3)
        count = self.counts[key]
        return {"name": name, "kind": kind, "shape": list(shape), "dtype": dtype, "rate_hz": rate_hz, "count": count}


def inspect_path(path: Path, mappings: Sequence[Mapping] = (), cuts: CutList | None = None) -> dict[str, Any]:
    """Looks at a file, at what a pattern matches, or at all below a folder. Raises `InputError` where nothing is.

    Keys: format, dialect, episodes, frames (action samples, or those of the longest stream), streams, tasks, problems;
    mapping: YAML that `--map` takes, as it ruled here; cuts: proposed for long recordings. A stream of kind "unmapped"
    is there and nobody reads it; its `dtype` is the type of the message, dataset or feature.
    """
    return inspected(path, mappings, cuts).as_dict()


def inspected(path: Path, mappings: Sequence[Mapping] = (), cuts: CutList | None = None) -> Inspection:
    """The same before it becomes JSON."""
    total = Inspection()
    for uri, seen in _looked_at(path, tuple(mappings), cuts):
        if isinstance(seen, Problem):
            total.problems.append(seen)
        else:
            total.add(uri, seen)
    if not total.formats and not total.problems:
        total.problems.append(Problem("no_episodes", path.name, "no recording lies there"))
    return total


def _looked_at(path: Path, mappings: tuple[Mapping, ...], cuts: CutList | None) -> Iterator[tuple[str, Seen | Problem]]:
    child: Child[Task, Seen] = Child(look)
    try:
        for found in find(path):
            if isinstance(found, FormatError):
                where = found.where or path.name
                yield where, Problem(found.code, where, ". ".join(filter(None, (found.message, found.hint))))
            elif found.format in _CRASHING:
                seen, reason = child(Task(found, mappings, cuts))
                crashed = Problem("reader_crashed", found.uri, f"the library that reads {found.format} {reason} on it")
                yield found.uri, crashed if seen is None else seen
            else:
                yield found.uri, look(Task(found, mappings, cuts))
    finally:
        child.close()


def mapping_text(mappings: dict[str, Mapping]) -> str:
    """YAML of the mapping of every source; where they differ, a list in which each names its source. "" for none."""
    different = list(dict.fromkeys(mapping.as_yaml() for mapping in mappings.values()))
    if len(different) < 2:
        return different[0] if different else ""
    entries = []
    for uri, mapping in mappings.items():
        named = mapping.model_copy(update={"match": glob_escape(uri), "name": f"{mapping.name} {uri}"})
        entries.append(yaml.safe_load(named.as_yaml()))
    return yaml.safe_dump({"mappings": entries}, sort_keys=False, allow_unicode=True)


def glob_escape(uri: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in uri)
