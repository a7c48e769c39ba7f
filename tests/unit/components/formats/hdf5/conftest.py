from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from beside import helpers

from components.core.episode import Episode
from components.formats.mapping import Mapping
from components.formats.registry import open_recording, read_part
from components.formats.source import Found


@pytest.fixture(scope="session")
def layouts() -> ModuleType:
    """The writers of layouts.py, which lies beside this file."""
    return helpers(Path(__file__).with_name("layouts.py"))


@pytest.fixture
def read() -> Callable[..., Episode]:
    """`read(path, part="", mapping=None)`: one episode of a file or folder."""

    def one(path: Path, part: str = "", mapping: Mapping | None = None) -> Episode:
        given = () if mapping is None else (mapping,)
        return read_part(open_recording(Found(path, path.name, "hdf5"), given), part)

    return one
