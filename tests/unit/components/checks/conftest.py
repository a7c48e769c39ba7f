"""Helpers of the tests of the checks."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pandas as pd
import pyarrow as pa
import pytest
from beside import helpers

from components.checks.gx import Judge
from components.checks.own.relate import relate
from components.core.params import Checks, load_params


@pytest.fixture(scope="session")
def episodes() -> ModuleType:
    """episodes.py, which lies beside this file."""
    return helpers(Path(__file__).with_name("episodes.py"))


@pytest.fixture(scope="session")
def params(project: Path) -> Checks:
    return load_params(project / "params.yaml").checks


@pytest.fixture(scope="session")
def good_measures(episodes: ModuleType) -> pa.Table:
    """Forty good episodes, measured: twenty of each task, ten of each robot and task."""
    measured: pa.Table = episodes.measured([episodes.good(seed) for seed in range(40)])
    return measured


@pytest.fixture(scope="session")
def good_table(good_measures: pa.Table, episodes: ModuleType, params: Checks) -> pd.DataFrame:
    """The same, as it is judged."""
    return relate(good_measures, episodes.CELL, params, fps=episodes.FPS)


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    return Judge(tmp_path / "docs")
