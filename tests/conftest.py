"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before anything imports MuJoCo or starts a stage.
os.environ.setdefault("MUJOCO_GL", "osmesa")
os.environ.setdefault("LP_NUM_THREADS", "1")

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def project() -> Path:
    """Root of the project."""
    return PROJECT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real robot files written by other people's tools; they lie beside the project where they are at hand."""
    folder = PROJECT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real robot files at {folder}")
    return folder
