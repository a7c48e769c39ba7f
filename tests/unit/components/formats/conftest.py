from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from beside import helpers


@pytest.fixture(scope="session")
def recordings() -> ModuleType:
    """The helpers of recordings.py, which lies beside this file."""
    return helpers(Path(__file__).with_name("recordings.py"))
