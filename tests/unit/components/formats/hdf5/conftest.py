from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from components.core.episode import Episode
from components.formats.mapping import Mapping
from components.formats.registry import open_recording, read_part
from components.formats.source import Found


@pytest.fixture(scope="session")
def layouts() -> ModuleType:
    """The writers of layouts.py, which lies beside this file."""
    name = "gripline_test_hdf5_layouts"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("layouts.py"))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture
def read() -> Callable[..., Episode]:
    """`read(path, part="", mapping=None)`: one episode of a file or folder."""

    def one(path: Path, part: str = "", mapping: Mapping | None = None) -> Episode:
        given = () if mapping is None else (mapping,)
        return read_part(open_recording(Found(path, path.name, "hdf5"), given), part)

    return one
