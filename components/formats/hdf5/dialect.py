"""What a dialect of HDF5 has to say: how it is known, where its episodes lie, and what its datasets mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py

from components.core.errors import EpisodeError, FormatError
from components.formats.assemble import Times
from components.formats.hdf5.file import find, leaves, listed, members, opened
from components.formats.mapping import StreamRule

# Where the demos of robomimic and its kin lie.
DATA = "data"
# The file of DROID's folders.
TRAJECTORY = "trajectory.h5"
_LOOKED_AT = 8


@dataclass(frozen=True)
class Scene:
    """An episode that is open. `group`: what the sources of a mapping count from; `folder`: of a DROID episode."""

    root: h5py.File
    group: h5py.Group
    group_name: str
    part: str
    folder: Path | None
    where: str

    @cached_property
    def leaves(self) -> dict[str, h5py.Dataset | FormatError]:
        """Every dataset of the episode, or why it cannot be opened."""
        return dict(leaves(self.group, where=self.where))

    @property
    def datasets(self) -> dict[str, h5py.Dataset]:
        return {name: found for name, found in self.leaves.items() if not isinstance(found, FormatError)}

    @property
    def data(self) -> h5py.Group:
        """Where attributes for all demos are."""
        return self.group.parent if self.group_name.startswith(f"{DATA}/") else self.root


def _nothing(scene: Scene) -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class Dialect:
    """`recognises`: by the root of a file, its demos and the name for errors; `demos`: whether episodes are the groups
    in `data`, else the file is one.

    `streams`: guess of what is what; `describe`: task, instruction, provenance and extras; `clock`: times where the
    layout has a clock that is no dataset of its own; `rate`: Hz to assume where there is none; `unit`: of its times.
    """

    name: str
    recognises: Callable[[h5py.File, list[str], str], bool]
    streams: Callable[[Scene], dict[str, StreamRule]]
    demos: bool = True
    describe: Callable[[Scene], dict[str, str]] = _nothing
    clock: Callable[[Scene], Times | None] = lambda scene: None
    rate: Callable[[Scene], float] = lambda scene: 20.0
    unit: str = "s"
    calibration: Callable[[Scene], dict[str, Any]] | None = None
    needs_action: bool = True


def some_demo_has(root: h5py.File, demos: list[str], name: str, *, where: str) -> bool:
    """Whether one of the first demos holds `name`; damaged ones do not."""
    for demo in demos[:_LOOKED_AT]:
        try:
            if find(root, f"{DATA}/{demo}/{name}", where=where) is not None:
                return True
        except FormatError:
            continue
    return False


def file_of(path: Path) -> tuple[Path, Path | None]:
    """The HDF5 file of a source, and its folder where the source is one."""
    return (path / TRAJECTORY, path) if path.is_dir() else (path, None)


@contextmanager
def scene_of(path: Path, part: str, dialect: Dialect, *, where: str) -> Iterator[Scene]:
    """An episode, open while the context lasts. Raises `EpisodeError` (bad_episode) and `FormatError`."""
    file, folder = file_of(path)
    with opened(file, where=where) as root:
        name = f"{DATA}/{part}" if dialect.demos else ""
        group = find(root, name, where=where) if name else root
        if group is None:
            names = listed(members(root, where=where))
            raise EpisodeError(f"no group {name!r}; there are {names}", where=where, code="bad_episode")
        if not isinstance(group, h5py.Group):
            raise EpisodeError(f"{name!r} is not a group", where=where, code="bad_episode")
        yield Scene(root, group, name, part, folder, where)
