"""Names of files that a tree or a manifest holds: they come from elsewhere and must stay inside of it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from components.core.errors import DatasetError

_HINT = "Do not use this folder unless you know who made it"


def require_inside(root: Path, names: Iterable[Any]) -> None:
    """Each is the relative POSIX path of a file below `root`. Raises `DatasetError` naming the first that is not.

    Refuses absolute names, `..`, and folders that are links to somewhere outside. The file itself may be a link, as
    DVC makes them: taking it away or putting another in its place leaves alone what it leads to.
    """
    home = Path(os.path.realpath(root))
    folders: dict[str, str] = {}
    for name in names:
        if not isinstance(name, str) or "\0" in name or not {"", ".", ".."}.isdisjoint(name.split("/")):
            raise DatasetError(f"{name!r} is no name of a file inside of it", where=str(root), hint=_HINT)
        folders.setdefault(name.rpartition("/")[0], name)
    for folder, name in folders.items():
        there = Path(os.path.realpath(home / folder))
        if not there.is_relative_to(home):
            raise DatasetError(f"{name!r} lies outside of it, at {there}", where=str(root), hint=_HINT)
