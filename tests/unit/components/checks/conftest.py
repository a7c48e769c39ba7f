"""Helpers of the tests of the checks."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from beside import helpers

from components.checks.gx import Finding, Judge
from components.checks.suite import episode_suite
from components.checks.table import mark_duplicates
from components.checks.verdicts import count_unmeasured
from components.core.params import Checks, load_params


@pytest.fixture(scope="session")
def episodes() -> ModuleType:
    """episodes.py, which lies beside this file."""
    return helpers(Path(__file__).with_name("episodes.py"))


@pytest.fixture(scope="session")
def params(project: Path) -> Checks:
    return load_params(project / "params.yaml").checks


@pytest.fixture(scope="session")
def good_table(episodes: ModuleType) -> pd.DataFrame:
    """Forty good episodes, reduced."""
    return mark_duplicates(pd.DataFrame([episodes.good(seed).reduce() for seed in range(40)]), 0.02)


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    return Judge(tmp_path / "docs")


@pytest.fixture(scope="session")
def findings_of_faults(
    episodes: ModuleType, params: Checks, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, tuple[str, int]], list[Finding]]:
    """Episode id -> the fault that was injected and which way; and what the judge found among them and good ones."""
    injected: dict[str, tuple[str, int]] = {}
    rows = [episodes.good(seed).reduce() for seed in range(20)]
    for code, ways in episodes.FAULTS.items():
        for number, inject in enumerate(ways):
            sample = inject(episodes.good(100 + len(injected)))
            injected[sample.row["episode_id"]] = (code, number)
            rows.append(sample.reduce())
    table = count_unmeasured(mark_duplicates(pd.DataFrame(rows), params.idle_motion_m))
    judge = Judge(tmp_path_factory.mktemp("faults") / "docs")
    return injected, judge.judge("episodes", table, episode_suite(params), index="episode_id")
