from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

RECORDINGS = Path(__file__).parents[1] / "formats" / "recordings.py"


@pytest.fixture(scope="session")
def recordings() -> ModuleType:
    """The helpers that write small MCAP and HDF5 files."""
    name = "gripline_test_recordings"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, RECORDINGS)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]
