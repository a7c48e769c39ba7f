from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest


def helper(name: str, path: Path) -> ModuleType:
    """A module of helpers by its path; tests are no packages."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def mutations() -> Callable[[bytes, int, int], Iterator[tuple[str, bytes]]]:
    """`mutations(data, count, seed)` of mutate.py, which lies beside this file."""
    found: Callable[[bytes, int, int], Iterator[tuple[str, bytes]]] = helper(
        "gripline_fuzz_mutate", Path(__file__).with_name("mutate.py")
    ).mutations
    return found
