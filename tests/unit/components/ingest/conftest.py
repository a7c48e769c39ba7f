from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from beside import UNIT, helpers

from components.core.params import Ingest
from components.core.spec import SAWYER_CELL
from components.ingest.ingest import ingest
from components.ingest.report import IngestReport


@pytest.fixture(scope="session")
def recordings() -> ModuleType:
    """The helpers that write small MCAP and HDF5 files."""
    return helpers(UNIT / "formats/recordings.py")


@pytest.fixture(scope="session")
def records() -> ModuleType:
    """The helpers that write small TFRecord files."""
    return helpers(UNIT / "formats/rlds/records.py")


@pytest.fixture(scope="session")
def params() -> Ingest:
    return Ingest.model_validate(
        {
            "embodiment": "sawyer-cell",
            "fps": 20,
            "video": {"codec": "h264", "crf": 30, "gop": 2, "pix_fmt": "yuv420p"},
            "max_misalignment_ms": 25.0,
            "val_share": 0.3,
            "split_seed": 1,
        }
    )


@pytest.fixture
def raw(recordings: ModuleType, tmp_path: Path) -> Path:
    """Two MCAP files and an HDF5 file of three demos: five episodes of two tasks."""
    folder = tmp_path / "raw"
    rates = {"fixed": 30, "wrist": 30, "hand": 100, "joints": 100, "gripper": 10}
    for seed in range(2):
        demo = recordings.make_demo(seed, steps=5, rates_hz=rates, task="open")
        recordings.write_mcap(folder / f"north/{seed}.mcap", demo)
    demos = [recordings.make_demo(seed, steps=4, task="close", robot_id="cell-2") for seed in range(2, 5)]
    recordings.write_hdf5(folder / "south/a.hdf5", demos)
    return folder


@pytest.fixture(scope="session")
def run(params: Ingest) -> Callable[..., IngestReport]:
    """Ingests one or several sources in this process; keyword arguments change parameters or go to `ingest`."""

    def call(sources: Path | Sequence[Path], out: Path, processes: int = 0, **changes: Any) -> IngestReport:
        own = {key: changes.pop(key) for key in ("mappings", "cuts", "cache") if key in changes}
        paths = [sources] if isinstance(sources, Path) else sources
        return ingest(paths, out, params.model_copy(update=changes), SAWYER_CELL, processes=processes, **own)

    return call
