"""Loads a file of test helpers by its path: tests are no package, so they cannot import each other by name."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

UNIT = Path(__file__).resolve().parents[1] / "unit" / "components"


def helpers(path: Path) -> ModuleType:
    """The module in `path`, loaded once, under a name by which worker processes and pickles find it again."""
    name = "gripline_test_" + "_".join(path.relative_to(UNIT.parents[1]).with_suffix("").parts)
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]
