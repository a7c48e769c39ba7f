"""Which episodes a tree has, and in which files each lies; the same for all versions."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from components.core.errors import FormatError
from components.formats.lerobot.video import Clip
from components.formats.source import Problem

# More than this is a damaged table, not a dataset.
MAX_EPISODES = 1_000_000
_MAX_FILES = 4_000_000


@dataclass(frozen=True, slots=True)
class Camera:
    """Where an episode's frames of one camera lie; `path` as found, or as promised where `found` is false."""

    path: str
    clip: Clip
    found: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """One episode. `data`: path of its table below the root, "" where that is not there; `length`: rows, if said."""

    index: int
    data: str
    length: int | None
    tasks: tuple[str, ...]
    cameras: Mapping[str, Camera]


@dataclass(frozen=True)
class Catalog:
    """`entries`: by episode index, those without data included; `tasks`: by task index.

    `deleted`: rows that keep the place of an episode that is gone, and are none.
    """

    entries: Mapping[int, Entry]
    tasks: Mapping[int, str]
    problems: tuple[Problem, ...]
    deleted: int = 0

    @property
    def readable(self) -> tuple[int, ...]:
        return tuple(index for index in sorted(self.entries) if self.entries[index].data)


@dataclass
class Files:
    """The files of a tree with one suffix, found where they are and not where they should be."""

    paths: set[str] = field(default_factory=set)
    by_name: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def below(cls, root: Path, suffix: str, *, where: str) -> Files:
        files = cls()
        for folder, folders, names in os.walk(root):
            folders.sort()
            relative = Path(folder).relative_to(root).as_posix()
            for name in sorted(names):
                if name.endswith(suffix) and not name.startswith("."):
                    files._add(name if relative == "." else f"{relative}/{name}")
            if len(files.paths) > _MAX_FILES:
                raise FormatError(f"holds more than {_MAX_FILES} files", where=where, code="too_large")
        return files

    def _add(self, path: str) -> None:
        if path.split("/")[0] != "meta":
            self.paths.add(path)
            self.by_name[path.rsplit("/", 1)[-1]].append(path)

    def locate(self, expected: str, *, key: str = "", chunk: bool = True) -> str:
        """`expected` where it is there, else the only file that can be meant, else "".

        A file can be meant that has the name, lies below a folder named after the camera `key`, and in the same
        chunk where `chunk` says that names repeat between chunks.
        """
        if expected in self.paths:
            return expected
        parts = PurePosixPath(expected).parts
        needed = {part for part in parts[:-1] if chunk and part.startswith("chunk-")}
        folders = {key, key.rsplit(".", 1)[-1]} if key else set()
        fitting = [
            path
            for path in self.by_name.get(parts[-1], ())
            if needed <= set(path.split("/")) and (not folders or folders & set(path.split("/")[:-1]))
        ]
        return fitting[0] if len(fitting) == 1 else ""


def relocated(kind: str, moved: list[tuple[str, str]], where: str) -> list[Problem]:
    """One problem for all files that lie elsewhere than info.json says."""
    if not moved:
        return []
    expected, found = moved[0]
    detail = f"{len(moved)} files lie elsewhere than info.json says: {found} instead of {expected}"
    return [Problem(kind, f"{where}/meta/info.json", detail)]
